/** The log in memory, and the one that ends proposals the other ways: what the layers above are tested against. */
import { describe, expect, test } from "bun:test"
import { Effect, Exit, Scope } from "effect"
import type { ProposeOutcome, RaftService } from "#actors/raft/protocol.ts"
import { faultyRaft } from "#test/support/faulty-raft.ts"
import { bytesOf, Journal } from "#test/support/journal.ts"
import { MemoryLog, openMemory } from "#test/support/memory-log.ts"

function world() {
  const turns: Array<() => void> = []
  const defer = (turn: () => void): void => void turns.push(turn)
  const run = (): void => {
    for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) turn()
  }
  const log = new MemoryLog()
  const open = (machine: Journal): { raft: RaftService; close: () => void } => {
    const scope = Effect.runSync(Scope.make())
    const opening = openMemory(defer, log)({ directory: "", clusterId: "blue", nodeId: "n1", machine })
    const raft = Effect.runSync(opening.pipe(Effect.provideService(Scope.Scope, scope)))
    return { raft, close: () => Effect.runSync(Scope.close(scope, Exit.void)) }
  }
  return { log, open, run, defer }
}

const ask = (raft: RaftService, text: string, outcomes: Array<ProposeOutcome>): void =>
  raft.propose(bytesOf(text), { proposer: "n1", boot: "b", seq: 1 }, (outcome) => outcomes.push(outcome))

describe("a log in memory", () => {
  test("leads at once and answers in a later turn, in order", () => {
    const { open, run } = world()
    const machine = new Journal()
    const { raft } = open(machine)
    expect(raft.leadership()).toEqual({ _tag: "Leading", term: 1 })
    const outcomes: Array<ProposeOutcome> = []
    for (const text of ["a", "b"]) ask(raft, text, outcomes)
    expect(outcomes).toEqual([])
    run()
    expect(outcomes.map((outcome) => "index" in outcome && outcome.index)).toEqual([2, 3])
    expect(machine.texts).toEqual(["a", "b"])
  })

  test("gives a killed member's successor everything acknowledged, and tells the dead nothing", () => {
    const { open, run, log } = world()
    const first = open(new Journal())
    const outcomes: Array<ProposeOutcome> = []
    ask(first.raft, "a", outcomes)
    run()
    ask(first.raft, "in doubt", outcomes)
    log.crash()
    run()
    expect(outcomes).toHaveLength(1)
    const machine = new Journal()
    expect(open(machine).raft.leadership()).toEqual({ _tag: "Leading", term: 2 })
    expect(machine.texts).toEqual(["a"])
  })

  test("restores a snapshot and what followed it", () => {
    const { open, run } = world()
    const first = open(new Journal())
    const outcomes: Array<ProposeOutcome> = []
    ask(first.raft, "a", outcomes)
    run()
    Effect.runSync(first.raft.compact)
    ask(first.raft, "b", outcomes)
    run()
    first.close()
    const machine = new Journal()
    open(machine)
    expect(machine.restored).toBe(1)
    expect(machine.texts).toEqual(["a", "b"])
  })

  test("refuses after it was closed, having completed what it accepted", () => {
    const { open, run } = world()
    const { raft, close } = open(new Journal())
    const outcomes: Array<ProposeOutcome> = []
    const heard: Array<string> = []
    raft.onLeadership(({ _tag }) => heard.push(_tag))
    ask(raft, "accepted", outcomes)
    close()
    ask(raft, "late", outcomes)
    run()
    expect(outcomes.map(({ _tag }) => _tag)).toEqual(["Applied", "NotLeader"])
    expect(heard).toEqual(["Leading", "Following"])
  })
})

describe("a faulty log", () => {
  test("ends proposals as scripted, and an unknown one may be applied or not", () => {
    const { open, run, defer } = world()
    const machine = new Journal()
    const faulty = faultyRaft(open(machine).raft, defer)
    faulty.script("unknown-applied", "unknown-lost", "not-leader", "overloaded")
    const outcomes: Array<ProposeOutcome> = []
    for (const text of ["a", "b", "c", "d", "e"]) ask(faulty.raft, text, outcomes)
    run()
    const tags = outcomes.map(({ _tag }) => _tag).sort()
    expect(tags).toEqual(["Applied", "NotLeader", "Overloaded", "Unknown", "Unknown"])
    expect(machine.texts).toEqual(["a", "e"])
    expect(faulty.counts).toMatchObject({ pass: 1, "unknown-applied": 1, "not-leader": 1 })
  })
})
