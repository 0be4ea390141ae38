// <seqlab-explorer name="eigenvalues" params='{"r_min": 0.9}'> shows the explorer of that folder on a page that has no
// Python behind it. The explorer sees the same small interface that it sees in a notebook: a model and an element.

class Model {
  constructor(state) {
    this.state = state;
    this.listeners = [];
  }

  get(name) {
    return this.state[name];
  }

  set(name, value) {
    if (this.state[name] === value) return;
    this.state[name] = value;
    for (const { event, listener } of [...this.listeners]) if (event === `change:${name}`) listener();
  }

  on(event, listener) {
    this.listeners.push({ event, listener });
  }

  off(event, listener) {
    this.listeners = this.listeners.filter((known) => known.event !== event || known.listener !== listener);
  }

  save_changes() {} // there is no kernel to tell
}

class SeqlabExplorer extends HTMLElement {
  async connectedCallback() {
    const name = this.getAttribute("name");
    if (!/^[a-z_]+$/.test(name ?? "")) throw new Error(`seqlab-explorer: no explorer is called ${name}`);
    const { default: explorer } = await import(new URL(`./${name}/explorer.mjs`, import.meta.url));
    if (!this.isConnected || this.model) return;
    this.model = new Model(JSON.parse(this.getAttribute("params") ?? "{}"));
    this.replaceChildren(); // what was inside, a still picture, is for readers without JavaScript
    this.leave = explorer.render({ model: this.model, el: this });
  }

  disconnectedCallback() {
    this.leave?.();
    this.model = this.leave = undefined;
  }
}

customElements.define("seqlab-explorer", SeqlabExplorer);
