/** The log's writer over an imitated disk: reading back, truncation, room, and who waits for what. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { founding } from "#actors/raft/core/configuration.ts"
import { Member } from "#actors/raft/host/member.ts"
import { hostSettings } from "#actors/raft/host/settings.ts"
import type { ProposeOutcome } from "#actors/raft/protocol.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { defaultLimits, type Limits } from "#actors/raft/storage/layout.ts"
import { openLog } from "#actors/raft/storage/open.ts"
import { Fresh } from "#runtime/ids.ts"
import { type InlineStorage, inlineStorage } from "#test/support/inline-storage.ts"
import { bytesOf, Journal } from "#test/support/journal.ts"
import { directory, LogTrace, lineOf, opened, owner, tinyDisk, told } from "#test/support/log-trace.ts"
import { SimVfs } from "#test/support/sim-vfs.ts"

// Many disks, or real processes, on a machine that may be busy with other suites.
setDefaultTimeout(60_000)

/** Turns that the test takes one by one. */
class Hand {
  #turns: Array<() => void> = []
  readonly defer = (turn: () => void): void => void this.#turns.push(turn)
  get waiting(): number {
    return this.#turns.length
  }
  step(): void {
    this.#turns.shift()?.()
  }
  run(): void {
    while (this.#turns.length > 0) this.step()
  }
}

function aloneOn(vfs: SimVfs, machine: Journal, disk: Limits = tinyDisk) {
  const hand = new Hand()
  const halted: Array<string> = []
  let member: Member | undefined
  const storage: InlineStorage = inlineStorage(
    vfs,
    nodeCipher,
    opened(vfs, nodeCipher, disk),
    hand.defer,
    (error) => member?.halt(error as Error)
  )
  member = new Member({
    id: "n1",
    boot: "b1",
    initial: founding("n1"),
    settings: hostSettings,
    chance: Fresh.from(1).state(),
    storage,
    machine,
    turns: { soon: hand.defer, later: hand.defer, shortly: hand.defer, monotonic: () => 0 },
    send: () => {},
    halted: (error) => halted.push(error.message),
    quarantined: () => {}
  })
  hand.run()
  // The tick in which it campaigns, and one that gives the write of its vote its turn.
  for (let i = 0; i < 3; i++) {
    member.tick()
    hand.run()
  }
  let seq = 0
  const propose = (text: string, done: (outcome: ProposeOutcome) => void): void =>
    member.propose(bytesOf(text), { proposer: "n1", boot: "b1", seq: ++seq }, done)
  return { member, propose, hand, halted }
}

describe("reading entries back", () => {
  test("gives what was written, across segments and truncations, checked on the way", () => {
    const vfs = new SimVfs()
    const trace = new LogTrace(vfs, nodeCipher)
    trace.persist(["noop"], { vote: "n1" })
    for (let i = 0; i < 9; i++) trace.persist([`a${i}`, `b${i}`])
    trace.persist(["instead"], { vote: "n2", truncateFrom: 12 })
    trace.persist(["after"])
    const read: Array<string> = []
    trace.storage.read(1, 13, 1e9, (entries) => read.push(...entries.map(lineOf)))
    expect(read).toEqual([...trace.acknowledged.entries])
    expect(read.at(-2)).toBe("12/2 instead")
  })

  test("stops at the byte limit, but never before the first entry", () => {
    const trace = new LogTrace(new SimVfs(), nodeCipher)
    for (let i = 0; i < 6; i++) trace.persist([`${i}`])
    const lengths: Array<number> = []
    for (const limit of [1, 8_192, 1e9]) {
      trace.storage.read(1, 6, limit, (entries) => lengths.push(entries.length))
    }
    expect(lengths).toEqual([1, 2, 6])
  })

  test("D2: damage under a running log is an error, not an answer", () => {
    const vfs = new SimVfs()
    const trace = new LogTrace(vfs, nodeCipher)
    trace.persist(["one"])
    const segment = vfs.list(`${directory}/raft/wal`).find((name) => name.endsWith(".seg"))
    const file = vfs.open(`${directory}/raft/wal/${segment}`, "durable")
    file.write(8_192 + 70, new Uint8Array([1, 2, 3]))
    let answered = false
    trace.storage.read(1, 1, 1e9, () => {
      answered = true
    })
    expect(answered).toBe(false)
    expect(String(trace.failures[0])).toContain("Cannot read entries from 1 at byte 8192 of log segment")
  })
})

describe("a group of one on an imitated disk", () => {
  test("C4, C1, C2: an answer comes only when a power loss could not take the entry, term and vote back", () => {
    const vfs = new SimVfs()
    const { propose, hand } = aloneOn(vfs, new Journal())
    let answers = 0
    for (let i = 0; i < 40; i++) {
      propose(`entry ${i}`, (outcome) => {
        answers++
        expect(outcome._tag).toBe("Applied")
        const disk = SimVfs.from(vfs.durableImage())
        const found = told(disk, nodeCipher, opened(disk, nodeCipher))
        expect(found.hardState).toEqual({ term: 1, vote: "n1" })
        expect(found.entries.find((line) => line.startsWith(`${i + 3}/1 `))).toContain(`entry ${i}`)
      })
      if (i % 3 === 0) hand.run()
    }
    hand.run()
    expect(answers).toBe(40)
  })

  test("C5, G1: when the disk fails, what was taken is unknown, what comes after is refused, and nothing follows", () => {
    const vfs = new SimVfs()
    const { member, propose, hand, halted } = aloneOn(vfs, new Journal())
    const outcomes: Array<ProposeOutcome["_tag"]> = []
    const ask = (): void => propose("x", ({ _tag }) => outcomes.push(_tag))
    vfs.fault = ({ kind }) => (kind === "write" ? { code: "EIO" } : undefined)
    ask()
    hand.step()
    ask()
    hand.run()
    expect(outcomes).toEqual(["Unknown", "Unknown"])
    expect(halted).toEqual([expect.stringContaining("EIO was asked for")])
    expect(member.status()).toMatchObject({ role: "follower", problem: expect.stringContaining("EIO") })
    const operations = vfs.operations
    vfs.fault = undefined
    ask()
    hand.run()
    expect(outcomes.at(-1)).toBe("NotLeader")
    expect(vfs.operations).toBe(operations)
  })
})

describe("a snapshot for whose mark there is no room", () => {
  /** Nothing can be zeroed for the next segment, and the log is written until a snapshot's mark needs one. */
  function refused() {
    const vfs = new SimVfs()
    const trace = new LogTrace(vfs, nodeCipher)
    const inPlace = (): ReadonlyArray<string> => vfs.list(`${directory}/raft/snap`)
    trace.persist(["first"], { vote: "n1" })
    let lastSaved = 0
    let before = inPlace()
    for (let saved = true; saved; ) {
      before = inPlace()
      vfs.fault = ({ kind, path }) =>
        kind === "write" && path.endsWith("spare.tmp") ? { code: "ENOSPC" } : undefined
      saved = trace.snapshot()
      vfs.fault = undefined
      if (saved) {
        lastSaved = trace.lastIndex
        trace.persist([`after ${lastSaved}`])
      }
      expect(trace.failures).toEqual([])
    }
    return { vfs, trace, lastSaved, before, inPlace }
  }

  test("C14: is not read in the place of the last one that was saved", () => {
    const { trace, lastSaved } = refused()
    expect(lastSaved).toBeGreaterThan(0)
    const read = [...trace.storage.loadSnapshot()].map((chunk) => new TextDecoder().decode(chunk))
    expect(read).toEqual(trace.acknowledged.entries.slice(0, lastSaved))
    expect(trace.storage.status()).toMatchObject({ snapshotIndex: lastSaved, low: true })
  })

  test("C14: takes no room, and is saved once there is some", () => {
    const { vfs, trace, lastSaved, before, inPlace } = refused()
    expect(inPlace()).toEqual(before)
    trace.persist(["more"])
    expect(trace.snapshot()).toBe(true)
    trace.persist(["last"])
    expect(trace.failures).toEqual([])
    expect(trace.storage.status().snapshotIndex).toBe(lastSaved + 2)
    const disk = SimVfs.from(vfs.durableImage())
    expect(told(disk, nodeCipher, opened(disk, nodeCipher))).toEqual(trace.acknowledged)
  })

  test("C14: leaves the log as it was when it would have reached beyond it", () => {
    const { vfs, trace, lastSaved } = refused()
    const beyond = { index: trace.lastIndex + 5, term: 1, config: bytesOf("n1") }
    vfs.fault = ({ kind, path }) =>
      kind === "write" && path.endsWith("spare.tmp") ? { code: "ENOSPC" } : undefined
    let saved: boolean | undefined
    trace.storage.saveSnapshot(beyond, [bytesOf("fetched")][Symbol.iterator](), (done) => {
      saved = done
    })
    vfs.fault = undefined
    expect(saved).toBe(false)
    const read: Array<string> = []
    trace.storage.read(trace.lastIndex, trace.lastIndex, 1e9, (found) => read.push(...found.map(lineOf)))
    expect(read).toEqual(trace.acknowledged.entries.slice(-1))
    const disk = SimVfs.from(vfs.durableImage())
    expect(opened(disk, nodeCipher).recovered.snapshot?.index).toBe(lastSaved)
  })
})

test("C14: of a vote for which there is no room nothing is on disk, whatever else is written meanwhile", () => {
  const vfs = new SimVfs()
  const failures: Array<unknown> = []
  const now = (turn: () => void): void => turn()
  const storage = inlineStorage(vfs, nodeCipher, opened(vfs, nodeCipher), now, (error) =>
    failures.push(error)
  )
  vfs.fault = ({ kind, path }) =>
    kind === "write" && path.endsWith("spare.tmp") ? { code: "ENOSPC" } : undefined
  let durable = 0
  const vote = (term: number): void =>
    storage.persist({ token: term, entries: [], commitHint: 0, hardState: { term, vote: "n1" } }, (token) => {
      durable = token
    })
  let term = 0
  while (durable === term) vote(++term)
  storage.idle()
  const disk = SimVfs.from(vfs.durableImage())
  expect(opened(disk, nodeCipher).recovered.hardState).toEqual({ term: durable, vote: "n1" })
  vfs.fault = undefined
  storage.idle()
  expect({ durable, failures }).toEqual({ durable: term, failures: [] })
})

describe("what cannot be configured", () => {
  test("C3: no setting moves an answer before the disk", () => {
    expect(Object.keys(defaultLimits).sort()).toEqual(["reserveBytes", "segmentBytes", "zeroBytes"])
  })
})

describe("keys", () => {
  test("a wrapping key that people hold opens the log, and nothing else does", () => {
    const vfs = new SimVfs()
    const unlockKey = new Uint8Array(32).fill(5)
    const input = { vfs, cipher: nodeCipher, directory, owner, limits: tinyDisk, nowMs: 1 }
    expect(openLog({ ...input, unlockKey })._tag).toBe("Recovered")
    expect(vfs.list(directory)).not.toContain("node-key")
    expect(openLog(input)._tag).toBe("Locked")
    expect(openLog({ ...input, unlockKey: new Uint8Array(32).fill(6) })._tag).toBe("Locked")
    expect(openLog({ ...input, unlockKey })._tag).toBe("Recovered")
  })
})
