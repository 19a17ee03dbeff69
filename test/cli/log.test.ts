/** `troupe log` as people call it, on the files of a log that is open, at rest, and damaged. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import process from "node:process"
import type { Command } from "#actors/ledger/commands.ts"
import { encodeEntry } from "#actors/ledger/encode.ts"
import { showEntry } from "#cli/commands/log.ts"
import { Journal } from "#test/support/journal.ts"
import { newDirectory, type OpenedGroup, openGroup, propose } from "#test/support/raft-directory.ts"

setDefaultTimeout(60_000)

const canary = "canary-2b9e41"
const root = new URL("../../", import.meta.url).pathname

let directory: ReturnType<typeof newDirectory>
let group: OpenedGroup

const entryOf = (command: Command, seq: number): Uint8Array =>
  encodeEntry({ command, proposer: "n1", boot: "b", seq, who: "local", why: "m1", time: 1_700_000_000_000 })

beforeAll(async () => {
  directory = newDirectory()
  group = await openGroup(directory.path, new Journal())
  const secret = {
    ID: "s1",
    Spec: { Name: "db", Labels: {}, Data: Buffer.from(canary).toString("base64") }
  }
  await propose(group.raft, entryOf({ type: "secret.create", v: 1, secret }, 1))
  await propose(group.raft, entryOf({ type: "secret.remove", v: 1, id: "s1" }, 2))
  await propose(group.raft, "not a command")
})
afterAll(async () => {
  await group.close()
  directory.remove()
})

const troupe = (...words: ReadonlyArray<string>) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["cli/main.ts", "log", ...words], {
    cwd: root,
    encoding: "utf8"
  })
  return { status, stdout, stderr }
}

const copyOf = (): ReturnType<typeof newDirectory> => {
  const copy = newDirectory()
  for (const name of ["node-key", "raft"]) {
    cpSync(`${directory.path}/${name}`, `${copy.path}/${name}`, {
      recursive: true,
      // Reading the lock of a log that this process has open would release it.
      filter: (path) => !path.includes("LOCK")
    })
  }
  return copy
}

describe("the log of a node that runs", () => {
  test("L5: is shown with its commands, who, why and when, and the node goes on", async () => {
    const { status, stdout } = troupe("show", "--data-dir", directory.path)
    expect(status).toBe(0)
    expect(stdout).toMatch(/3 +1 +secret\.create +local +m1 +2023-11-14T22:13:20\.000Z/)
    expect(stdout).toMatch(/5 +1 +unreadable/)
    expect(stdout).not.toContain("canary")
    expect(await propose(group.raft, "more")).toMatchObject({ _tag: "Applied" })
  })

  test("L5: as JSON with what each entry carries; no payload of a secret is ever printed", () => {
    const { status, stdout } = troupe(
      "show",
      "--json",
      "--from",
      "3",
      "--to",
      "4",
      "--data-dir",
      directory.path
    )
    expect(status).toBe(0)
    const [created, removed, ...none] = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
    expect(created).toMatchObject({
      index: 3,
      type: "proposal",
      body: { secret: { ID: "s1", Spec: { Name: "db", Data: "[redacted]" } } }
    })
    expect(removed).toMatchObject({ index: 4, command: "secret.remove", body: { id: "s1" } })
    expect(none).toEqual([])
    expect(stdout).not.toContain(Buffer.from(canary).toString("base64").slice(2, 12))
  })

  test("L5: verifies, and has one digest wherever it lies", () => {
    expect(troupe("verify", "--data-dir", directory.path)).toMatchObject({
      status: 0,
      stdout: expect.stringContaining("everything is as it was written")
    })
    const copy = copyOf()
    try {
      const words = ["digest", "--to", "4", "--data-dir"]
      const { status, stdout } = troupe(...words, directory.path)
      expect(status).toBe(0)
      expect(stdout).toMatch(/^entries 1 to 4 {3}[0-9a-f]{64}\n$/)
      expect(troupe(...words, copy.path).stdout).toBe(stdout)
    } finally {
      copy.remove()
    }
  })
})

describe("a log that is damaged", () => {
  test("L5: is told place by place, ends with 1, and what is whole is shown still", () => {
    const copy = copyOf()
    try {
      const wal = `${copy.path}/raft/wal`
      const path = `${wal}/${readdirSync(wal).find((name) => name.endsWith(".seg"))}`
      const bytes = readFileSync(path)
      bytes.fill(7, 4 * 4_096 + 90, 4 * 4_096 + 99)
      writeFileSync(path, bytes)
      const found = troupe("verify", "--data-dir", copy.path)
      expect(found.status).toBe(1)
      expect(found.stdout).toMatch(/damaged: wal\/.*\.seg at byte 16384: frame \d+ is damaged or lost/)
      const shown = troupe("show", "--data-dir", copy.path)
      expect(shown).toMatchObject({ status: 0, stderr: expect.stringContaining("at byte 16384") })
      expect(shown.stdout).toContain("secret.remove")
      expect(shown.stdout).not.toContain("secret.create")
    } finally {
      copy.remove()
    }
  })

  test("a directory without a log, and one whose key is not there, say so", () => {
    const empty = newDirectory()
    try {
      expect(troupe("show", "--data-dir", empty.path)).toMatchObject({
        status: 1,
        stderr: expect.stringContaining(`Cannot read ${empty.path}/raft: there is no log`)
      })
    } finally {
      empty.remove()
    }
  })
})

test("an entry of a type that is not known here is shown by its number", () => {
  expect(showEntry({ index: 9, term: 2, type: 77, data: new Uint8Array(3) })).toEqual({
    index: 9,
    term: 2,
    type: "type 77",
    bytes: 3
  })
})
