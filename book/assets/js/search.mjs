// The search page: sections of the book, best first. Pagefind's index lies beside the pages, and is asked for what one types.

import { SYNONYMS } from "./synonyms.mjs";

const SHOWN = 12;
const PAUSE = 200; // milliseconds without a key before it searches

const root = new URL("../../", import.meta.url);
const field = document.querySelector(".search-page input");
const said = document.getElementById("search-said");
const list = document.getElementById("search-results");

let pagefind; // a promise, once somebody searches

// The words as they came, and with each of them that has other names under those names.
export function phrasings(query) {
  const words = ` ${query.toLowerCase().replaceAll("-", " ").trim()} `;
  const found = [query];
  for (const names of SYNONYMS) {
    const name = names.find((name) => words.includes(` ${name} `));
    if (name) found.push(...names.filter((other) => other !== name).map((other) => words.replace(name, other).trim()));
  }
  return found;
}

const stems = (text) => (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).map((word) => word.slice(0, 4));

// Pagefind takes a word that is nowhere for its first letters, down to one: such a section is not what was meant.
function isMeant(title, content, phrase) {
  const there = new Set(stems(`${title} ${content}`));
  return stems(phrase).some((stem) => there.has(stem));
}

// How many sections one phrasing finds, and the best of them.
async function searchFor(phrase, index) {
  const { results } = await index.search(phrase);
  const best = await Promise.all(
    results.slice(0, SHOWN).map(async (result) => {
      const { raw_url, filters, content, excerpt } = await result.data();
      const [title, page] = [filters.title[0], filters.page[0]];
      const address = new URL(raw_url.replace(/^\//, ""), root).href;
      return isMeant(title, content, phrase) ? [{ address, title, page, excerpt, score: result.score }] : [];
    }),
  );
  const sections = best.flat();
  return { count: sections.length < best.length ? sections.length : results.length, sections };
}

// What any phrasing finds: how many sections at least, and the best, one of exactly that title before all others.
export async function search(query) {
  pagefind ??= import(new URL("pagefind/pagefind.js", root).href);
  const index = await pagefind;
  const found = await Promise.all(phrasings(query).map((phrase) => searchFor(phrase, index)));
  const best = new Map();
  for (const section of found.flatMap(({ sections }) => sections)) {
    if (!(best.get(section.address)?.score >= section.score)) best.set(section.address, section);
  }
  const isNamed = ({ title }) => title.toLowerCase() === query.toLowerCase();
  const ranked = [...best.values()].sort((one, other) => isNamed(other) - isNamed(one) || other.score - one.score);
  return { count: Math.max(best.size, ...found.map(({ count }) => count)), sections: ranked.slice(0, SHOWN) };
}

function entry({ address, title, page, excerpt }) {
  const item = document.createElement("li");
  const link = item.appendChild(document.createElement("a"));
  link.href = address;
  link.textContent = title;
  const where = item.appendChild(document.createElement("span"));
  where.className = "search-where";
  where.textContent = page.endsWith(title) ? "" : page;
  const quoted = item.appendChild(document.createElement("p"));
  quoted.innerHTML = excerpt; // text that Pagefind escaped, with <mark> around what was found
  return item;
}

let asked; // the query that is being answered

async function answer(query) {
  asked = query;
  if (query === "") {
    said.textContent = "";
    list.replaceChildren();
    return;
  }
  try {
    const { count, sections } = await search(query);
    if (query !== asked) return;
    list.replaceChildren(...sections.map(entry));
    const counted = `${count} section${count === 1 ? "" : "s"}`;
    said.textContent = count > SHOWN ? `The best ${SHOWN} of ${counted}` : count ? counted : "Nothing was found.";
  } catch (error) {
    said.textContent = "The index could not be loaded.";
    throw error;
  }
}

if (field) {
  let timer;
  field.value = new URLSearchParams(location.search).get("q") ?? "";
  field.focus();
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const query = field.value.trim();
      history.replaceState(null, "", query ? `?q=${encodeURIComponent(query)}` : location.pathname);
      answer(query);
    }, PAUSE);
  });
  field.form.addEventListener("submit", (event) => {
    event.preventDefault();
    answer(field.value.trim());
  });
  answer(field.value.trim());
}
