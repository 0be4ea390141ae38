// MathJax for the build: started as `node mathematics.cjs FOLDER`, where its parts lie. Every line that comes in is a
// formula, {"tex": ..., "display": ...}, and every line that goes out its elements, {"html": ...}, or {"error": ...}; an
// empty line asks for the style sheet, {"css": ...}.

const readline = require("node:readline");
const [folder] = process.argv.slice(2);

const configuration = {
  loader: { load: ["core", "adaptors/liteDOM", "input/tex", "output/chtml", "a11y/assistive-mml"], paths: { mathjax: folder }, versionWarnings: false },
  tex: {
    packages: { "[-]": ["noundefined"] }, // a misspelled name is an error, not red letters
    formatError: (_, error) => { throw error; },
  },
  chtml: {
    scale: 1.07, // the x-height of Source Serif 4, 0.475, over that of the formulas' face
    adaptiveCSS: false, // all characters: pages that were built another day share the sheet, and mathematics.py knows what they use
    fontURL: "fonts",
  },
};

async function answer(MathJax, line) {
  const { adaptor } = MathJax.startup;
  if (line === "") return { css: adaptor.textContent(MathJax.chtmlStylesheet()) };
  const { tex, display } = JSON.parse(line);
  try {
    return { html: adaptor.outerHTML(await MathJax.tex2chtmlPromise(tex, { display })) };
  } catch (error) {
    return { error: error.message };
  }
}

async function serve() {
  const MathJax = await require(`${folder}/node-main.js`).init(configuration);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(MathJax, line))}\n`);
  }
}

serve();
