/** Assignments that are more than a message carries, as the dispatcher says them and a node takes them. */
import { expect, test } from "bun:test"
import { type Holdings, noHoldings, pursuitOf, take } from "#actors/node/session/holdings.ts"
import type { Place } from "#actors/task/protocol.ts"
import { largestMessage } from "#runtime/chunks.ts"
import { type Assign, Desk } from "#test/support/desk.ts"
import { Stage } from "#test/support/stage.ts"

const count = 20
const megabyte = "x".repeat(1_000_000)
const place = { nodeId: "n1", clusterId: "c" } as Place

/** A node, and twenty megabytes of configs. */
function stage(): Stage {
  const made = new Stage()
  for (let at = 0; at < count; at++) {
    made.book.must({
      type: "config.create",
      v: 1,
      config: { ID: `config-${at}`, Spec: { Name: `config-${at}`, Data: `${at} ${megabyte}` } }
    })
  }
  return made
}
const configs = Array.from({ length: count }, (_, at) => ({
  ConfigID: `config-${at}`,
  ConfigName: `config-${at}`,
  File: { Name: `/config-${at}` }
}))
const spec = { TaskTemplate: { ContainerSpec: { Image: "image", Configs: configs } } }

const told = (desk: Desk): ReadonlyArray<Assign> => desk.told.map(([, message]) => message)
const sizeOf = (message: Assign): number => JSON.stringify(message).length
const given = (holdings: Holdings, id: string): number | undefined =>
  pursuitOf(holdings, id, place)?.configs.length

test("a task with more files than a message carries is told of after all of them, and so is a node that asks for everything", () => {
  const desk = new Desk(stage()).open("n1").forget()
  desk.stage.book.service("web", spec)
  desk.stage.look("web")
  desk.stage.place()
  const [task] = desk.stage.tasks("web")
  const id = task?.ID ?? ""
  expect(task?.Status.State).toBe("assigned")
  desk.hear()
  const holdings = noHoldings()
  const changes = told(desk)
  expect(changes.map(({ seq }) => seq)).toEqual(changes.map((_, at) => at + 2))
  for (const message of changes) {
    expect(sizeOf(message)).toBeLessThan(largestMessage)
    expect(given(holdings, id)).toBeUndefined()
    take(holdings, message, place)
  }
  expect(given(holdings, id)).toBe(count)

  desk.forget().say({ _tag: "Resync", nodeId: "n1", session: "n1-session" })
  expect(told(desk).map(({ complete }) => complete)).toEqual([true, false, false])
  const anew = noHoldings()
  for (const message of told(desk)) {
    expect(sizeOf(message)).toBeLessThan(largestMessage)
    expect(given(anew, id)).toBeUndefined()
    take(anew, message, place)
  }
  expect(given(anew, id)).toBe(count)

  // One that runs is never without a word, or it would be ended.
  desk.stage.report(id, "running")
  desk.hear()
  desk.forget().say({ _tag: "Resync", nodeId: "n1", session: "n1-session" })
  for (const message of told(desk)) {
    take(holdings, message, place)
    expect(holdings.tasks.has(id)).toBe(true)
  }
  expect(given(holdings, id)).toBe(count)
})

test("where traffic goes is told with the first part of all that there is", () => {
  const desk = new Desk(stage())
  desk.stage.create("web", spec)
  desk.stage.book.network("ingress-id", "ingress", { Ingress: true })
  desk.open("n1")
  const [first, ...others] = told(desk)
  expect([first?.ports, first?.overlays]).toEqual([[], []])
  expect(others.every(({ ports, overlays }) => ports === undefined && overlays === undefined)).toBe(true)
})
