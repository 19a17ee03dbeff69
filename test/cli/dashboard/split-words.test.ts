import { expect, test } from "bun:test"
import { splitWords } from "../../../cli/dashboard/page/split-words.ts"

test("a command is split at spaces, but for those that quotes and backslashes keep", () => {
  const asked: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    ["  /bin/sh  ", ["/bin/sh"]],
    ["sh -c 'echo \"$HOME\" \\n'", ["sh", "-c", 'echo "$HOME" \\n']],
    ['ls "a b"c "" d\\ e', ["ls", "a bc", "", "d e"]],
    ['"say \\"it\\""', ['say "it"']],
    ["it's unfinished", ["its unfinished"]],
    ["", []]
  ]
  for (const [text, words] of asked) expect([text, splitWords(text)]).toEqual([text, [...words]])
})
