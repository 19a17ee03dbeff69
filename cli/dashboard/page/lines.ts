/** What is filled in line by line, and the same as words of a command. */
import { quoted } from "#actors/model/shell-word.ts"

export const linesOf = (text: string): ReadonlyArray<string> =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
export const recordOf = (text: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    linesOf(text).map((line) => {
      const at = line.indexOf("=")
      return at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + 1)]
    })
  )

/** A flag that is said once for each. */
export const flags = (flag: string, values: ReadonlyArray<string>): ReadonlyArray<string> =>
  values.flatMap((value) => [flag, quoted(value)])
