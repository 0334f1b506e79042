/** A word with more wrong letters than this is another word. */
const MAX_MISTAKES = 2;

/** The choice that a mistyped word most likely stands for; null when none is near. */
export function closest(word: string, choices: readonly string[]): string | null {
  const [best] = choices
    .map((choice) => ({ choice, mistakes: distance(word, choice) }))
    .filter(({ choice, mistakes }) => mistakes <= MAX_MISTAKES && mistakes < choice.length / 2)
    .sort((a, b) => a.mistakes - b.mistakes);
  return best?.choice ?? null;
}

/** Levenshtein's distance: letters to insert, remove or replace. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, letter] of [...a].entries()) {
    let left = i + 1;
    row = row.map((above, j) => {
      if (j === 0) return left;
      const replaced = (row[j - 1] ?? above) + (letter === b[j - 1] ? 0 : 1);
      left = Math.min(above + 1, left + 1, replaced);
      return left;
    });
  }
  return row.at(-1) ?? a.length;
}
