/** Who is answered with what, and when a console is over. */
import { expect, test } from "bun:test"
import {
  answerWithinMs,
  begin,
  type ConsolesAction,
  decide,
  forgetAfterMs,
  type Inside,
  mostConsoles
} from "#actors/console/decide.ts"
import type { ConsolesAnswer, Output } from "#actors/console/protocol.ts"
import type { CommonAction } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"

/** The actor with its own timers and actions in the test's hands. */
class Consoles {
  readonly state = begin().state
  readonly answers: Array<ConsolesAnswer> = []
  actions: Array<ConsolesAction | CommonAction> = []

  say(message: Inside, asked = true): this {
    const step = decide(this.state, message, {
      now: 0,
      fresh: Fresh.from(1),
      self: address("n", "consoles", "main"),
      ...(asked ? { asker: { to: "gateway", deadline: 1 } } : {})
    })
    this.actions = [...step.actions]
    for (const action of step.actions)
      if (action._tag === "Reply") this.answers.push(action.message as ConsolesAnswer)
    return this
  }
  open = (console = "c"): this =>
    this.say({ _tag: "Open", console, task: "t", container: "x", command: ["sh"], columns: 80, rows: 24 })
  begun = (problem?: string): this =>
    this.say({ _tag: "Begun", console: "c", ...(problem !== undefined && { problem }) }, false)
  read = (): this => this.say({ _tag: "Read", console: "c" })
  came = (output: Omit<Output, "_tag">): this =>
    this.say({ _tag: "Came", console: "c", output: { _tag: "Output", ...output } }, false)
  tags = (): Array<string> => this.actions.map(({ _tag }) => _tag)
  last = (): ConsolesAnswer | undefined => this.answers.at(-1)
}

test("a console is open once its command runs, and is refused in the Engine's words where it does not", () => {
  const consoles = new Consoles().open()
  expect([consoles.tags(), consoles.last()]).toEqual([["Begin", "Later"], undefined])
  expect(consoles.begun().last()).toEqual({ _tag: "Opened" })
  expect(consoles.tags()).toContain("ReadOn")
  expect(consoles.open().tags()).toEqual(["Reply"])

  const refused = new Consoles().open().begun("Container x is not running")
  expect(refused.last()).toEqual({ _tag: "Refused", message: "Container x is not running" })
  expect(refused.read().last()).toEqual({ _tag: "Gone" })
})

test("one part is read ahead, and the next once that was asked for", () => {
  const consoles = new Consoles().open().begun()
  expect(consoles.came({ data: "1" }).tags()).toEqual([])
  consoles.read()
  expect(consoles.last()).toEqual({ _tag: "Output", data: "1" })
  expect(consoles.tags()).toContain("ReadOn")
  // Who asks before there is anything is answered when it comes.
  const before = consoles.answers.length
  expect(consoles.read().answers).toHaveLength(before)
  consoles.came({ data: "2" })
  expect(consoles.last()).toEqual({ _tag: "Output", data: "2" })
})

test("who waits for long is answered with nothing, and what comes then is kept for the next question", () => {
  const consoles = new Consoles().open().begun().read()
  expect(consoles.actions).toContainEqual(
    expect.objectContaining({
      _tag: "Later",
      afterMs: answerWithinMs,
      message: { _tag: "NothingCame", console: "c" }
    })
  )
  consoles.say({ _tag: "NothingCame", console: "c" }, false)
  expect(consoles.last()).toEqual({ _tag: "Output" })
  consoles.came({ data: "1" })
  expect(consoles.read().last()).toEqual({ _tag: "Output", data: "1" })
})

test("the end is told once, and then nothing is known of it", () => {
  for (const early of [true, false]) {
    const consoles = new Consoles().open().begun()
    if (early) consoles.came({ ended: { exitCode: 3 } }).read()
    else consoles.read().came({ ended: { exitCode: 3 } })
    expect(consoles.last()).toEqual({ _tag: "Output", ended: { exitCode: 3 } })
    expect(consoles.tags()).toContain("Shut")
    expect(consoles.tags()).not.toContain("ReadOn")
    expect(consoles.read().last()).toEqual({ _tag: "Gone" })
  }
})

test("what was typed is taken once it is written, and nowhere when the console is gone", () => {
  const consoles = new Consoles().open().begun().say({ _tag: "Write", console: "c", data: "bHMK" })
  expect(consoles.last()).toEqual({ _tag: "Opened" })
  consoles.say({ _tag: "Wrote", asker: { to: "gateway", deadline: 1 } }, false)
  expect(consoles.last()).toEqual({ _tag: "Taken" })
  consoles.say({ _tag: "Close", console: "c" }, false)
  expect(consoles.say({ _tag: "Write", console: "c", data: "bHMK" }).last()).toEqual({ _tag: "Gone" })
})

test("a gateway that asks nothing any more is forgotten, and its command ends, even one that only then begins", () => {
  const consoles = new Consoles().open().begun().read()
  expect(consoles.actions).toContainEqual(
    expect.objectContaining({
      _tag: "Later",
      afterMs: forgetAfterMs,
      message: { _tag: "Forget", console: "c" }
    })
  )
  expect(consoles.say({ _tag: "Forget", console: "c" }, false).tags()).toContain("Shut")
  expect(new Consoles().open().say({ _tag: "Close", console: "c" }, false).begun().tags()).toEqual(["Shut"])
})

test("a node has a bound of consoles", () => {
  const consoles = new Consoles()
  for (let each = 0; each < mostConsoles; each++) consoles.open(`c${each}`)
  expect(consoles.open("one more").last()).toEqual({ _tag: "TooMany", limit: mostConsoles })
})

test("whoever asks what a health check came to is answered, and needs no console", () => {
  const examine = { _tag: "Examine", task: "t", container: "x" } as const
  const consoles = new Consoles().say(examine)
  expect(consoles.actions).toEqual([{ _tag: "LookAt", examine, asker: { to: "gateway", deadline: 1 } }])
  const found = { _tag: "Health", status: "healthy", probes: [] } as const
  consoles.say({ _tag: "Examined", asker: { to: "gateway", deadline: 1 }, found }, false)
  expect(consoles.last()).toEqual(found)
  expect(consoles.say(examine, false).tags()).toEqual([])
})
