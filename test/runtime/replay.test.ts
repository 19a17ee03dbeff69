import { describe, expect, test } from "bun:test"
import { reply, tell } from "#runtime/actions.ts"
import { type AnyActor, actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { stay } from "#runtime/behaviour.ts"
import { FlightRecorder, type RecorderOptions } from "#runtime/recorder.ts"
import { type Recording, readRecording } from "#runtime/recording.ts"
import { type ReplayStep, replay } from "#runtime/replay.ts"
import { permanent, supervisor } from "#runtime/supervisor.ts"
import { World } from "#test/runtime/world.ts"

type Message =
  | { readonly _tag: "Add"; readonly amount: number }
  | { readonly _tag: "Name" }
  | { readonly _tag: "Get" }
  | { readonly _tag: "Fail" }
  | { readonly _tag: "Learn"; readonly secret: string }

interface State {
  readonly sum: number
  readonly names: ReadonlyMap<string, number>
  readonly table: Table
}
/** Outside of the actor, and changed in place: as replicated tables are. */
interface Table {
  factor: number
}

const self = address("n1", "ledgerlike", "main")
const name = "n1/ledgerlike/main"

/** Depends on all a decision may depend on: its state, the message, time, chance, the sender, the shared table. */
const definition: AnyActor = actor<{ readonly table: Table }, State, Message, never>({
  kind: "ledgerlike",
  start: ({ table }) => stay({ sum: 0, names: new Map(), table }),
  secrets: (message) => message._tag === "Learn",
  decide: (state, message, moment) => {
    switch (message._tag) {
      case "Add":
        return stay({ ...state, sum: state.sum + message.amount * state.table.factor })
      case "Name":
        return stay({ ...state, names: new Map([...state.names, [moment.fresh.id(), moment.now]]) })
      case "Get":
        return moment.asker
          ? stay(state, reply(moment.asker, state.sum))
          : stay(state, tell(self, { _tag: "Name" }))
      case "Fail":
        throw new Error("this was bound to fail")
      case "Learn":
        return stay({ ...state, sum: message.secret.length })
    }
  }
})
/** The same, of which checkpoints may be kept. */
const open: AnyActor = { ...definition, secrets: undefined as never }

function recorded(kind: AnyActor, options: Partial<RecorderOptions> = {}) {
  const world = new World(7)
  const table: Table = { factor: 1 }
  const log: Array<number> = []
  const shared = {
    name: "table",
    object: table,
    index: () => log.length,
    time: () => 0,
    lines: () => log
  }
  const recorder = new FlightRecorder({ nodeId: "n1", cluster: "blue", shared, ...options })
  const { system } = world.process("n1", { recorder, trace: {} })
  system.startTree(supervisor({ name: "top", children: [permanent(kind, { props: { table } })] }), "n1")
  const say = (message: Message): void => {
    system.tell(self, message)
    world.host.settle()
  }
  const turn = (factor: number): void => {
    log.push(factor)
    table.factor = factor
  }
  const written = (): Recording => {
    const read = readRecording([...recorder.lines(world.host.now())].join("\n"))
    if (read instanceof Error) throw read
    return read
  }
  return { world, system, recorder, say, turn, written }
}

function played(recording: Recording, kind: AnyActor): ReadonlyArray<ReplayStep> {
  const table: Table = { factor: 1 }
  const log = recording.shared.map(({ body }) => body as number)
  const advance = (index: number): undefined => {
    table.factor = log[index - 1] ?? 1
  }
  const shared = new Map([["table", table]])
  return [...replay(recording, name, { definition: kind, shared, secretFields: new Set(), advance })]
}

const lastState = (steps: ReadonlyArray<ReplayStep>): State => steps.at(-1)?.after as State
const verdicts = (steps: ReadonlyArray<ReplayStep>): string => steps.map(({ verdict }) => verdict).join(" ")

describe("a recorded life, replayed", () => {
  test("comes to the same states: time, ids, senders, askers and shared state are inputs like the message", () => {
    const { world, system, say, turn, written } = recorded(definition)
    say({ _tag: "Add", amount: 2 })
    turn(10)
    say({ _tag: "Add", amount: 2 })
    say({ _tag: "Name" })
    say({ _tag: "Get" })
    expect(world.ask(system, self, { _tag: "Get" })).toEqual({ _tag: "Answer", value: 22 })
    const steps = played(written(), definition)
    expect(verdicts(steps)).toBe("began same same same same same same")
    expect(lastState(steps).sum).toBe(22)
    expect(lastState(steps).names.size).toBe(2)
  })

  test("ends at the step at which a changed decision comes to something else", () => {
    const { say, written } = recorded(definition)
    for (const amount of [1, 2, 3, 4]) say({ _tag: "Add", amount })
    const changed: AnyActor = {
      ...definition,
      decide: (state, message, moment) =>
        definition.decide(state, message.amount === 3 ? { ...message, amount: 5 } : message, moment)
    }
    const steps = played(written(), changed)
    expect(verdicts(steps)).toBe("began same same different")
    expect(steps.at(-1)?.record.seq).toBe(3)
  })

  test("crashes where it crashed, and goes on with the next life", () => {
    const { world, say, written } = recorded(definition)
    say({ _tag: "Add", amount: 1 })
    say({ _tag: "Fail" })
    world.host.advance(1_000)
    say({ _tag: "Add", amount: 5 })
    const steps = played(written(), definition)
    expect(verdicts(steps)).toBe("began same crashed crashed began same")
    expect(lastState(steps).sum).toBe(5)
  })

  test("begins at a checkpoint when the ring has lost its start", () => {
    const { say, recorder, written } = recorded(open, { maxBytes: 40_000 })
    for (let i = 0; i < 1_000; i++) say({ _tag: "Add", amount: 1 })
    expect(recorder.bytes).toBeLessThanOrEqual(40_000)
    const recording = written()
    expect(recording.header.dropped).toBeGreaterThan(500)
    const steps = played(recording, open)
    const shown = verdicts(steps)
    expect(shown).toMatch(/^(skipped )*(same|began)( same| began)*$/)
    expect(lastState(steps).sum).toBe(1_000)
  })

  test("stops at a message that may hold a secret, of which nothing was recorded", () => {
    const { say, recorder, written, world } = recorded(definition)
    say({ _tag: "Add", amount: 1 })
    say({ _tag: "Learn", secret: "hunter2-hunter2" })
    say({ _tag: "Add", amount: 1 })
    const steps = played(written(), definition)
    expect(verdicts(steps)).toBe("began same stopped")
    expect(steps.at(-1)?.words).toContain("may hold a secret")
    expect([...recorder.lines(world.host.now())].join("\n")).not.toContain("hunter2")
    expect(recorder.recent(self, 10).join("\n")).not.toContain("hunter2")
  })

  test("stops at a message in which a field was left out", () => {
    const { say, written, recorder, world } = recorded(open, { secretFields: new Set(["secret"]) })
    say({ _tag: "Learn", secret: "hunter2" })
    const table = new Map([["table", {}]])
    const steps = [
      ...replay(written(), name, {
        definition: open,
        shared: table,
        secretFields: new Set(),
        advance: () => undefined
      })
    ]
    expect(verdicts(steps)).toBe("began stopped")
    expect([...recorder.lines(world.host.now())].join("\n")).not.toContain("hunter2")
  })
})

describe("the ring", () => {
  test("keeps within its bytes, whatever it is told", () => {
    const { say, recorder } = recorded(open, { maxBytes: 10_000 })
    for (let i = 0; i < 300; i++) say({ _tag: "Learn", secret: "x".repeat(i * 3) })
    expect(recorder.bytes).toBeLessThanOrEqual(10_000)
    expect(recorder.size).toBeGreaterThan(5)
  })

  test("keeps of an actor in a hurry a sample that replays, and what it crashed on", () => {
    const { world, say, recorder, written } = recorded(open)
    for (let i = 0; i < 3_000; i++) say({ _tag: "Add", amount: 1 })
    expect(recorder.size).toBeLessThan(2_000)
    world.host.advance(1_000)
    for (let i = 0; i < 2_000; i++) say({ _tag: "Add", amount: 1 })
    say({ _tag: "Fail" })
    const steps = played(written(), open)
    expect(verdicts(steps)).toMatch(/^(began |same )+crashed crashed$/)
    expect(steps.at(-2)?.before).toMatchObject({ sum: 5_000 })
  })

  test("says where a replay cannot go on because decisions were passed over", () => {
    const { world, say, written } = recorded(definition)
    for (let i = 0; i < 2_000; i++) say({ _tag: "Add", amount: 1 })
    world.host.advance(1_000)
    say({ _tag: "Add", amount: 1 })
    const steps = played(written(), definition)
    expect(verdicts(steps)).toMatch(/^began (same )+stopped$/)
    expect(steps.at(-1)?.words).toContain("passed over")
  })

  test("records only the kinds it was asked for", () => {
    const { say, recorder } = recorded(definition, { records: (kind) => kind !== "ledgerlike" })
    say({ _tag: "Add", amount: 1 })
    expect(recorder.size).toBe(0)
  })

  test("tells what an actor decided about before it crashed", () => {
    const { say, recorder } = recorded(definition)
    say({ _tag: "Add", amount: 1 })
    say({ _tag: "Fail" })
    const [started, added, failed, crashed] = recorder.recent(self, 10).map((line) => line.slice(13))
    expect(started).toBe("started, life 1")
    expect(added).toMatch(/^Add \[message n1-/)
    expect(failed).toMatch(/^Fail \[message n1-/)
    expect(crashed).toBe("crashed: this was bound to fail")
  })
})

test("a recording that was cut off is read up to where it was", () => {
  const { say, recorder, world } = recorded(definition)
  for (const amount of [1, 2]) say({ _tag: "Add", amount })
  const text = [...recorder.lines(world.host.now())].join("\n")
  const cut = readRecording(text.slice(0, -20))
  expect(cut).toMatchObject({ broken: 1 })
  expect(verdicts(played(cut as Recording, definition))).toBe("began same")
})

test("what is no recording is refused with a reason", () => {
  expect(readRecording('{"_tag":"Decided"}')).toBeInstanceOf(Error)
  expect(readRecording("")).toBeInstanceOf(Error)
})
