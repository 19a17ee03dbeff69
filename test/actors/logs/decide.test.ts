import { expect, test } from "bun:test"
import {
  answerWithinMs,
  begin,
  decide,
  forgetAfterMs,
  type Inside,
  type LogsAction,
  mostSubscriptions
} from "#actors/logs/decide.ts"
import type { LogRequest, LogsAnswer, WireLine } from "#actors/logs/protocol.ts"
import type { CommonAction } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"

const request: LogRequest = { stdout: true, stderr: true, follow: true, details: false, since: 0, until: 0 }
const line = (text: string): WireLine => ({ stream: "stdout", timestamp: text, details: "", data: text })

/** The actor with its own timers and actions in the test's hands. */
class Logs {
  readonly state = begin().state
  readonly answers: Array<LogsAnswer> = []
  actions: Array<LogsAction | CommonAction> = []

  say(message: Inside, asked = true): this {
    const step = decide(this.state, message, {
      now: 0,
      fresh: Fresh.from(1),
      self: address("n", "logs", "main"),
      ...(asked ? { asker: { to: "reader", deadline: 1 } } : {})
    })
    this.actions = [...step.actions]
    for (const action of step.actions)
      if (action._tag === "Reply") this.answers.push(action.message as LogsAnswer)
    return this
  }
  open = (subscription = "s"): this => this.say({ _tag: "Open", subscription, task: "t", request })
  pull = (after: number): this => this.say({ _tag: "Pull", subscription: "s", after })
  read = (lines: ReadonlyArray<WireLine>, ended = false, problem?: string): this =>
    this.say(
      { _tag: "Read", subscription: "s", lines, ended, ...(problem === undefined ? {} : { problem }) },
      false
    )
  tags = (): Array<string> => this.actions.map(({ _tag }) => _tag)
  last = (): LogsAnswer | undefined => this.answers.at(-1)
}

test("a log is opened once, read ahead by one batch, and read on when that is taken", () => {
  const logs = new Logs().open()
  expect(logs.last()).toEqual({ _tag: "Opened" })
  expect(logs.tags()).toContain("ReadOn")
  expect(logs.open().tags()).not.toContain("ReadOn")
  // What came before anybody asked is kept, and nothing more is read.
  expect(logs.read([line("1")]).tags()).not.toContain("ReadOn")
  logs.pull(0)
  expect(logs.last()).toEqual({ _tag: "Batch", seq: 1, lines: [line("1")], ended: false })
  expect(logs.tags()).toContain("ReadOn")
})

test("a reader that asks before there is anything is answered when it comes", () => {
  const logs = new Logs().open().pull(0)
  expect(logs.answers).toHaveLength(1)
  expect(logs.actions).toContainEqual({
    _tag: "Later",
    key: "wait:s",
    afterMs: answerWithinMs,
    message: { _tag: "NothingCame", subscription: "s" }
  })
  logs.read([line("1")])
  expect(logs.last()).toMatchObject({ _tag: "Batch", seq: 1 })
})

test("a lost answer is given again until the next one is asked for", () => {
  const logs = new Logs()
    .open()
    .read([line("1")])
    .pull(0)
    .read([line("2")])
  logs.pull(0)
  expect(logs.last()).toMatchObject({ seq: 1, lines: [line("1")] })
  logs.pull(1)
  expect(logs.last()).toMatchObject({ seq: 2, lines: [line("2")] })
})

test("nothing for a while is an answer too, so that the reader knows that we are here", () => {
  const logs = new Logs().open().pull(0).say({ _tag: "NothingCame", subscription: "s" }, false)
  expect(logs.last()).toEqual({ _tag: "Batch", seq: 0, lines: [], ended: false })
})

test("the end of a log is told with the last batch, and forgotten once that arrived", () => {
  const logs = new Logs()
    .open()
    .read([line("1")])
    .pull(0)
  expect(logs.read([], true).tags()).toContain("Shut")
  logs.pull(1)
  expect(logs.last()).toMatchObject({ seq: 2, ended: true })
  logs.pull(2)
  expect(logs.last()).toMatchObject({ ended: true })
  expect(logs.state.subscriptions.size).toBe(0)
  expect(logs.pull(2).last()).toEqual({ _tag: "Gone" })
})

test("why a log broke off is told with its end", () => {
  expect(new Logs().open().pull(0).read([], true, "engine gone").last()).toMatchObject({
    ended: true,
    problem: "engine gone"
  })
})

test("a reader that does not ask any more is forgotten, and its log is shut", () => {
  const logs = new Logs().open()
  expect(logs.actions).toContainEqual({
    _tag: "Later",
    key: "forget:s",
    afterMs: forgetAfterMs,
    message: { _tag: "Forget", subscription: "s" }
  })
  expect(logs.say({ _tag: "Forget", subscription: "s" }, false).tags()).toContain("Shut")
  expect(logs.state.subscriptions.size).toBe(0)
})

test("lines that were read for a reader who left are dropped, and the log is shut again", () => {
  const logs = new Logs().open().say({ _tag: "Close", subscription: "s" }, false)
  expect(logs.tags()).toContain("Shut")
  expect(logs.read([line("1")]).tags()).toEqual(["Shut"])
})

test("a node serves a limited number of readers and says so to the next", () => {
  const logs = new Logs()
  for (let n = 0; n < mostSubscriptions; n++) logs.open(`s${n}`)
  expect(logs.open("one-more").last()).toEqual({ _tag: "TooMany", limit: mostSubscriptions })
})
