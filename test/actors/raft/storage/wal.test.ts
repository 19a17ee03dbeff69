/** The log's writer over an imitated disk: reading back, truncation, room, and who waits for what. */
import { describe, expect, setDefaultTimeout, test } from "bun:test"
import type { ProposeOutcome } from "#actors/raft/protocol.ts"
import { type SoloLimits, SoloMember, soloLimits } from "#actors/raft/solo-member.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { type InlineStorage, inlineStorage } from "#actors/raft/storage/inline.ts"
import { defaultLimits, type Limits } from "#actors/raft/storage/layout.ts"
import { openLog } from "#actors/raft/storage/open.ts"
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

function soloOn(vfs: SimVfs, machine: Journal, disk: Limits = tinyDisk, limits: SoloLimits = soloLimits) {
  const hand = new Hand()
  const halted: Array<string> = []
  let member: SoloMember | undefined
  const storage: InlineStorage = inlineStorage(
    vfs,
    nodeCipher,
    opened(vfs, nodeCipher, disk),
    hand.defer,
    (error) => member?.halt(error as Error)
  )
  member = new SoloMember({
    nodeId: "n1",
    storage,
    machine,
    turns: { soon: hand.defer, later: hand.defer, monotonic: () => 0 },
    limits,
    halted: (error) => halted.push(error.message)
  })
  const problems: Array<Error | undefined> = []
  member.start((problem) => problems.push(problem))
  hand.run()
  return { member, storage, hand, halted, problems }
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
    const { member, hand } = soloOn(vfs, new Journal())
    let answers = 0
    for (let i = 0; i < 40; i++) {
      member.propose(bytesOf(`entry ${i}`), (outcome) => {
        answers++
        expect(outcome._tag).toBe("Applied")
        const disk = SimVfs.from(vfs.durableImage())
        const found = told(disk, nodeCipher, opened(disk, nodeCipher))
        expect(found.hardState).toEqual({ term: 1, vote: "n1" })
        expect(found.entries).toContain(`${i + 2}/1 entry ${i}`)
      })
      if (i % 3 === 0) hand.run()
    }
    hand.run()
    expect(answers).toBe(40)
  })

  test("J9: what is proposed in one turn is one frame, what comes while it is written is the next", () => {
    const vfs = new SimVfs()
    const { member, hand } = soloOn(vfs, new Journal(), { ...tinyDisk, segmentBytes: 1024 * 1024 })
    let frames = 0
    vfs.during = ({ kind, path }) => {
      if (kind === "write" && path.endsWith(".seg")) frames++
    }
    for (let i = 0; i < 10; i++) member.propose(bytesOf(`${i}`), () => {})
    hand.step()
    for (let i = 0; i < 20; i++) member.propose(bytesOf(`${i}`), () => {})
    expect(frames).toBe(0)
    hand.run()
    expect(frames).toBe(2)
  })

  test("a frame holds at most 1,024 entries or 256 KiB, and at least one entry", () => {
    const vfs = new SimVfs()
    const machine = new Journal()
    const { member, hand } = soloOn(vfs, machine, { ...tinyDisk, segmentBytes: 8 * 1024 * 1024 })
    let frames = 0
    vfs.during = ({ kind, path }) => {
      if (kind === "write" && path.endsWith(".seg")) frames++
    }
    for (let i = 0; i < 2_049; i++) member.propose(bytesOf(`${i}`), () => {})
    hand.run()
    expect(frames).toBe(3)
    for (const size of [300, 200, 100]) member.propose(new Uint8Array(size * 1024), () => {})
    hand.run()
    expect(frames).toBe(6)
    expect(machine.lines).toHaveLength(2_052)
  })

  test("C5, G1: when the disk fails, what may be on it is unknown, what is not is refused, and nothing follows", () => {
    const vfs = new SimVfs()
    const { member, hand, halted } = soloOn(vfs, new Journal())
    const outcomes: Array<ProposeOutcome["_tag"]> = []
    const ask = (): void => member.propose(bytesOf("x"), ({ _tag }) => outcomes.push(_tag))
    vfs.fault = ({ kind }) => (kind === "write" ? { code: "EIO" } : undefined)
    ask()
    hand.step()
    ask()
    hand.run()
    expect(outcomes).toEqual(["Unknown", "NotLeader"])
    expect(halted).toEqual([expect.stringContaining("EIO was asked for")])
    expect(member.status()).toMatchObject({ role: "follower", problem: expect.stringContaining("EIO") })
    const operations = vfs.operations
    vfs.fault = undefined
    ask()
    hand.run()
    expect(outcomes.at(-1)).toBe("NotLeader")
    expect(vfs.operations).toBe(operations)
  })

  test("H6: an entry the state machine throws at halts the member, and again after a restart", () => {
    const vfs = new SimVfs()
    const machine = new Journal()
    machine.poison = "new"
    const { member, hand, halted } = soloOn(vfs, machine)
    const outcomes: Array<ProposeOutcome> = []
    for (const text of ["a", "new", "b"]) member.propose(bytesOf(text), (outcome) => outcomes.push(outcome))
    hand.run()
    expect(outcomes.map(({ _tag }) => _tag)).toEqual(["Applied", "Unknown", "Unknown"])
    expect(halted).toEqual(['Cannot apply entry 3: nobody knows what "new" means'])
    const again = new Journal()
    again.poison = "new"
    expect(soloOn(vfs.powerLoss(), again).problems.map(String)).toEqual([
      'Error: Cannot apply entry 3: nobody knows what "new" means'
    ])
    expect(again.texts).toEqual(["a"])
  })

  test("C14: without room new entries are refused, terms are still written, and it ends when there is room again", () => {
    const vfs = new SimVfs()
    const disk = { segmentBytes: 16 * 1024, zeroBytes: 8 * 1024, reserveBytes: 64 * 1024 }
    const { member, storage, hand, halted } = soloOn(vfs, new Journal(), disk)
    const ask = (): ProposeOutcome | undefined => {
      let answer: ProposeOutcome | undefined
      member.propose(bytesOf("x".repeat(3_000)), (outcome) => {
        answer = outcome
      })
      hand.run()
      return answer
    }
    vfs.capacity = 400 * 1024
    let accepted = 0
    while (ask()?._tag === "Applied") accepted++
    expect(accepted).toBeGreaterThan(20)
    expect(ask()).toEqual({
      _tag: "Overloaded",
      message: "Cannot propose now: there is too little disk space"
    })
    expect(member.status().problem).toBe("There is too little disk space for new entries")
    const { term, lastIndex } = member.status()
    let durable = false
    const hardState = { term: term + 1, vote: "n2" }
    storage.persist({ token: 1e6, hardState, entries: [], commitHint: lastIndex }, () => {
      durable = true
    })
    hand.run()
    expect(durable).toBe(true)
    expect(halted).toEqual([])
    vfs.capacity = 4_000 * 1024
    storage.idle()
    hand.run()
    expect(member.status().problem).toBeUndefined()
  })

  test("F8: reads of one turn share one look, and wait for what was committed before them", () => {
    const machine = new Journal()
    const { member, hand } = soloOn(new SimVfs(), machine)
    for (let i = 0; i < 3; i++) member.propose(bytesOf(`${i}`), () => {})
    hand.run()
    const answers: Array<unknown> = []
    for (let i = 0; i < 5; i++) member.readIndex((answer) => answers.push(answer))
    expect(hand.waiting).toBe(1)
    hand.run()
    expect(answers).toEqual([4, 4, 4, 4, 4])
  })

  test("no snapshot is lost or taken twice when one is asked for while another is written", () => {
    const vfs = new SimVfs()
    const machine = new Journal()
    const { member, hand } = soloOn(vfs, machine)
    member.propose(bytesOf("a"), () => {})
    hand.run()
    let done = 0
    for (let i = 0; i < 3; i++) member.compact(() => done++)
    hand.run()
    expect(done).toBe(3)
    expect(vfs.list(`${directory}/raft/snap`)).toHaveLength(1)
  })
})

describe("what cannot be configured", () => {
  test("C3: no setting moves an answer before the disk", () => {
    expect(Object.keys(defaultLimits).sort()).toEqual(["reserveBytes", "segmentBytes", "zeroBytes"])
    expect(Object.keys(soloLimits).sort()).toEqual([
      "frameBytes",
      "frameEntries",
      "snapshotBytes",
      "snapshotEntries",
      "uncommittedBytes",
      "uncommittedEntries"
    ])
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
