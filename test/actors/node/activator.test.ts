import { expect, test } from "bun:test"
import { decide, start } from "#actors/node/activator/decide.ts"
import type { ActivatorMessage } from "#actors/node/activator/protocol.ts"
import { address } from "#runtime/address.ts"
import type { Moment } from "#runtime/behaviour.ts"

const sleepers = [{ id: "web", routed: true, ports: [80] }]
const watch = (...asleep: typeof sleepers): ActivatorMessage => ({
  _tag: "Watch",
  session: "s1",
  sleepers: asleep
})
const looked = (...waiting: ReadonlyArray<string>): ActivatorMessage => ({ _tag: "Looked", waiting })
const moment = (now: number): Moment =>
  ({ self: address("n1", "activator", "main"), now }) as unknown as Moment

/** What is done at each message; one every 100 ms. */
function actionsOf(...messages: ReadonlyArray<ActivatorMessage>) {
  let step = start(undefined, moment(0))
  return messages.map((message, at) => {
    step = decide(step.state, message, moment(at * 100))
    return step.actions.map((action) =>
      action._tag === "Tell" ? [action.to.kind, action.message] : action._tag
    )
  })
}

test("nobody is looked for while no service sleeps", () => {
  expect(actionsOf(watch(), watch(...sleepers), watch(...sleepers), looked())).toEqual([
    [],
    ["Look"],
    [],
    ["Later"]
  ])
  expect(actionsOf(watch(...sleepers), watch(), looked(), { _tag: "LookAgain" })).toEqual([
    ["Look"],
    [],
    ["Later"],
    []
  ])
})

test("the leader is told at once that somebody waits, and once a second while it is so", () => {
  const told = ["node", { _tag: "Waiting", session: "s1", services: ["web"] }]
  const waits = Array.from({ length: 11 }, () => looked("web"))
  const actions = actionsOf(watch(...sleepers), ...waits)
  expect(actions[1]).toEqual([told, "Later"])
  expect(actions.slice(2, 11)).toEqual(Array.from({ length: 9 }, () => ["Later"]))
  expect(actions[11]).toEqual([told, "Later"])
  // Whoever comes after the last has gone is news.
  expect(actionsOf(watch(...sleepers), looked("web"), looked(), looked("web"))[3]).toEqual([told, "Later"])
})
