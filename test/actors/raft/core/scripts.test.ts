/** Conversations of a few cores, word by word. Each file is a story; `test/support/raft-script.ts` says how to read it. */
import { describe, expect, test } from "bun:test"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { Script } from "#test/support/raft-script.ts"

const place = join(import.meta.dirname, "scripts")

describe("consensus, told as a conversation", () => {
  for (const name of readdirSync(place).sort()) {
    const before = readFileSync(join(place, name), "utf8")
    const title = before.split("\n")[0]?.replace(/^# /, "") ?? name
    test(title, () => {
      const after = new Script().run(before)
      if (process.env.REWRITE === "1") writeFileSync(join(place, name), after)
      else expect(after).toBe(before)
    })
  }
})
