/** A cluster that is begun anew is in its directory whole or not at all, wherever the work was cut short. */

import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test"
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { decodeConfiguration, founding } from "#actors/raft/core/configuration.ts"
import { type Entry, entryType } from "#actors/raft/entry.ts"
import { firstIncarnation, nextIncarnation } from "#actors/raft/incarnation.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { defaultLimits, raftDirectory } from "#actors/raft/storage/layout.ts"
import { DirectoryInUse, lockDirectory } from "#actors/raft/storage/lock.ts"
import { openLog } from "#actors/raft/storage/open.ts"
import { survey } from "#actors/raft/storage/salvage-files.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import { begin, settleBeginning } from "#actors/recovery/beginning.ts"
import { aloneAfter } from "#actors/recovery/survivors.ts"
import { bytesOf } from "#test/support/journal.ts"

setDefaultTimeout(60_000)

let folder: string
let dataDir: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "troupe-beginning-"))
  dataDir = join(folder, "data")
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const owner = { clusterId: "blue", nodeId: "m1" }
const incarnation = nextIncarnation(firstIncarnation, "second")
const entries: ReadonlyArray<Entry> = [1, 2, 3].map((index) => ({
  index,
  term: 1,
  type: entryType.command,
  data: bytesOf(`entry ${index}`)
}))

const openHere = (): ReturnType<typeof openLog> =>
  openLog({
    vfs: nodeVfs,
    cipher: nodeCipher,
    directory: dataDir,
    owner,
    limits: defaultLimits,
    nowMs: 1
  })

/** A log of the first incarnation, and a membership beside it. */
function former(): void {
  mkdirSync(join(dataDir, "trust"), { recursive: true })
  expect(openHere()._tag).toBe("Recovered")
  writeFileSync(join(dataDir, "trust/member.json"), "old")
}

const beginHere = (): void =>
  begin({
    dataDir,
    owner,
    incarnation,
    configuration: founding(owner.nodeId),
    contents: { term: 2, committed: 3, lastIndex: 3, entries },
    files: { "trust/member.json": "new", "identity.json": "m1" },
    now: 1
  })

/** Which of the two is there; anything else is half of something. */
function whatIsThere(): "old" | "new" {
  const found = survey({ vfs: nodeVfs, cipher: nodeCipher, directory: dataDir })
  const member = readFileSync(join(dataDir, "trust/member.json"), "utf8")
  expect(existsSync(join(dataDir, "beginning"))).toBe(false)
  expect(existsSync(join(dataDir, "identity.json"))).toBe(member === "new")
  if (member === "new") {
    expect(found.incarnation).toEqual(incarnation)
    expect(found.ranges).toEqual([[1, 4]])
    // Above every term that the first incarnation can reach.
    expect(found.term).toBe(1_000_000_001)
    expect(readdirSync(dataDir)).toContain("raft.damaged-1")
    return "new"
  }
  expect(found.incarnation).toEqual(firstIncarnation)
  expect(found.ranges).toEqual([])
  return "old"
}

test("the former log is set aside, and the new one is of this member alone in its incarnation", () => {
  former()
  beginHere()
  expect(whatIsThere()).toBe("new")
  const opened = openHere()
  if (opened._tag !== "Recovered") throw new Error(opened.reason)
  const last = opened.recovered.entries.at(-1)
  expect(last?.type).toBe(entryType.config)
  expect(decodeConfiguration(last?.data ?? new Uint8Array())).toEqual(founding("m1"))
})

test("cut short at any step, the next start completes it if it was ready, and takes it back if it was not", () => {
  former()
  const before = join(folder, "before")
  cpSync(dataDir, before, { recursive: true })
  beginHere()
  const after = join(folder, "after")
  cpSync(dataDir, after, { recursive: true })

  // What a crash leaves: the draft, with or without its mark, and any first part of what is put in place.
  const steps: ReadonlyArray<(draft: string) => void> = [
    () => {},
    () => renameSync(join(dataDir, "raft"), join(dataDir, "raft.damaged-1")),
    (draft) => renameSync(join(draft, "raft"), join(dataDir, "raft")),
    (draft) => renameSync(join(draft, "trust/member.json"), join(dataDir, "trust/member.json")),
    (draft) => renameSync(join(draft, "identity.json"), join(dataDir, "identity.json"))
  ]
  for (let cut = -1; cut < steps.length; cut++) {
    rmSync(dataDir, { recursive: true })
    cpSync(before, dataDir, { recursive: true })
    const draft = join(dataDir, "beginning")
    mkdirSync(join(draft, "trust"), { recursive: true })
    cpSync(join(after, "raft"), join(draft, "raft"), { recursive: true })
    cpSync(join(after, "node-key"), join(draft, "node-key"))
    writeFileSync(join(draft, "trust/member.json"), "new")
    writeFileSync(join(draft, "identity.json"), "m1")
    if (cut >= 0) writeFileSync(join(draft, "ready"), "")
    for (const step of steps.slice(0, cut + 1)) step(draft)
    settleBeginning(dataDir)
    expect([cut, whatIsThere()]).toEqual([cut, cut < 0 ? "old" : "new"])
    settleBeginning(dataDir)
    expect([cut, whatIsThere()]).toEqual([cut, cut < 0 ? "old" : "new"])
  }
})

test("a directory whose node runs is left alone", () => {
  former()
  const lock = lockDirectory(raftDirectory(dataDir))
  expect(beginHere).toThrow(DirectoryInUse)
  lock.release()
  expect(whatIsThere()).toBe("old")
})

test("a fresh directory gets a log, a key of its own and nothing set aside", () => {
  beginHere()
  expect(readdirSync(dataDir).sort()).toEqual(["identity.json", "node-key", "raft", "trust"])
})

test("E10: whoever was in the group before, or had left it, never comes back", () => {
  const before = { voters: ["m1", "m2"], outgoing: [], learners: ["m4"], removed: ["m0"] }
  expect(aloneAfter(before, "m1")).toEqual({ ...founding("m1"), removed: ["m0", "m2", "m4"] })
})
