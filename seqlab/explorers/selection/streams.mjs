// Streams to begin with, and rules for the steps, the same as in Python.
export const STREAMS = {
  gaps: { words: "Letters with gaps", text: "ab12··c·12·····d····12" },
  close: { words: "Letters close together", text: "abcd12cb12ad12" },
  silence: { words: "A long silence", text: "cd····················12" },
  questions: { words: "Questions in between", text: "a1b1212····121212c1··2" },
  custom: { words: "Typed by hand", text: "" },
};
export const ONE_STEP = 1; // of the rule that takes one step for all tokens
export const RULES = { model: "as the model chooses", constant: "1 for every token", custom: "by hand" };
