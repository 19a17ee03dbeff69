/** A command as people type it, in words: quotes keep spaces, a backslash keeps what follows it. */
export function splitWords(text: string): ReadonlyArray<string> {
  const words: Array<string> = []
  let word: string | undefined
  let quote = ""
  for (let at = 0; at < text.length; at++) {
    const letter = text.charAt(at)
    if (letter === "\\" && quote !== "'" && at + 1 < text.length) word = (word ?? "") + text.charAt(++at)
    else if (letter === quote) quote = ""
    else if (quote === "" && (letter === "'" || letter === '"')) {
      quote = letter
      word ??= ""
    } else if (quote === "" && /\s/.test(letter)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = (word ?? "") + letter
  }
  if (word !== undefined) words.push(word)
  return words
}
