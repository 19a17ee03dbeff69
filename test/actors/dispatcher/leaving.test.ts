import { describe, expect, test } from "bun:test"
import { featureLevel } from "#actors/ledger/features.ts"
import { Desk, published } from "#test/support/desk.ts"
import { Book } from "#test/support/ledger.ts"
import { Stage } from "#test/support/stage.ts"

const ofThisRelease = (id: string) => ({
  Description: {
    Hostname: id,
    Platform: { OS: "linux", Architecture: "x86_64" },
    Resources: { NanoCPUs: 4e9, MemoryBytes: 8e9 },
    Engine: { EngineVersion: "20.10.24" },
    FeatureLevel: featureLevel
  }
})

/** `web` on nodes of this release, which confirm where they send traffic; `old` ones do not. */
function desk(nodes: ReadonlyArray<string> = ["n1", "n2"], old: ReadonlyArray<string> = []): Desk {
  const book = new Book().cluster()
  for (const id of nodes) {
    book.node(id, old.includes(id) ? {} : ofThisRelease(id))
  }
  const desk = new Desk(published(new Stage([], book)))
  for (const id of nodes) desk.open(id)
  return desk.forget()
}

/** Scales `web` to nothing but one task; the one that goes, and where it runs. */
function scaleDown(desk: Desk): { readonly id: string; readonly on: string; readonly other: string } {
  desk.stage.scale("web", 1).look("web")
  const going = [...desk.stage.book.tables.tasksOfService("web")].find(
    (task) => task.DesiredState === "remove"
  )
  desk.hear()
  const on = going?.NodeID ?? ""
  return { id: going?.ID ?? "", on, other: on === "n1" ? "n2" : "n1" }
}

const routed = (desk: Desk, nodeId: string, seq: number, session = `${nodeId}-session`): void => {
  desk.say({ _tag: "Routed", nodeId, session, seq })
}

/** Which task was told what, of what was said since the last look. */
const told = (desk: Desk): ReadonlyArray<string> =>
  desk.told.flatMap(([to, { tasks }]) => tasks.map(({ id, desired }) => `${to} ${id} ${desired}`))

describe("a task that is to stop", () => {
  test("is told so when every node has confirmed that it sends it nothing more", () => {
    const all = desk()
    const { id, on, other } = scaleDown(all)
    expect(all.told.map(([, { ports, confirm }]) => [ports?.[0]?.backends.length, confirm])).toEqual([
      [1, true],
      [1, true]
    ])
    routed(all, on, 2)
    expect(told(all)).toEqual([])
    routed(all, other, 2)
    expect(told(all)).toEqual([`${on} ${id} remove`])
  })

  test("waits for what it was told by now, not for what a node confirmed before", () => {
    const all = desk()
    const { on, other } = scaleDown(all)
    for (const nodeId of [on, other]) {
      routed(all, nodeId, 1)
      routed(all, nodeId, 2, "a session of before")
    }
    expect(told(all)).toEqual([])
  })

  test("is told so after a while where a node does not confirm it", () => {
    const all = desk()
    const { id, on } = scaleDown(all)
    routed(all, on, 2)
    all.stage.book.time += 1_999
    all.say({ _tag: "Flush" })
    expect(told(all)).toEqual([])
    all.stage.book.time += 1
    all.say({ _tag: "Flush" })
    expect(told(all)).toEqual([`${on} ${id} remove`])
  })

  test("waits for no node that is lost, nor for one that cannot confirm", () => {
    const all = desk(["n1", "n2", "n3"], ["n3"])
    const { id, on, other } = scaleDown(all)
    routed(all, on, 2)
    all.say({ _tag: "SessionClosed", nodeId: other }).say({ _tag: "Flush" })
    expect(told(all)).toEqual([`${on} ${id} remove`])
  })

  test("waits for a node that comes back with another session until that has confirmed it", () => {
    const all = desk()
    const { id, on, other } = scaleDown(all)
    routed(all, on, 2)
    all.forget().open(other, "another")
    expect(all.told).toMatchObject([[other, { complete: true, confirm: true, seq: 1 }]])
    expect(told(all)).not.toContain(`${on} ${id} remove`)
    routed(all, other, 1, "another")
    expect(told(all)).toContain(`${on} ${id} remove`)
  })

  test("waits under a leader that has just begun until all nodes have confirmed what that one told them", () => {
    const before = desk()
    const { id, on, other } = scaleDown(before)
    const next = new Desk(before.stage).open(on)
    expect(told(next)).toContain(`${on} ${id} running`)
    routed(next, on, 1)
    expect(told(next)).not.toContain(`${on} ${id} remove`)
    next.open(other)
    routed(next, other, 1)
    expect(told(next)).toContain(`${on} ${id} remove`)
  })

  test("waits for a node that has not found its leader, or is being begun again: it leads traffic as before", () => {
    const before = desk()
    const all = new Desk(before.stage)
    const { id, on, other } = scaleDown(all)
    all.open(on)
    expect(told(all)).toContain(`${on} ${id} running`)
    routed(all, on, 1)
    all.stage.book.time += 4_999
    all.say({ _tag: "Flush" })
    expect(told(all)).not.toContain(`${on} ${id} remove`)
    all.open(other)
    routed(all, other, 1)
    expect(told(all)).toContain(`${on} ${id} remove`)
  })

  test("waits for such a node no longer than until it is lost, or five seconds", () => {
    for (const end of ["lost", "late"]) {
      const before = desk()
      const all = new Desk(before.stage)
      const { id, on, other } = scaleDown(all)
      all.open(on)
      routed(all, on, 1)
      if (end === "lost") all.say({ _tag: "SessionClosed", nodeId: other })
      else all.stage.book.time += 5_000
      all.say({ _tag: "Flush" })
      expect([end, told(all)]).toEqual([end, expect.arrayContaining([`${on} ${id} remove`])])
    }
  })

  test("is told so at once where nobody sends it anything", () => {
    const stage = new Stage([], new Book().cluster().node("n1", ofThisRelease("n1")))
    const alone = new Desk(stage.create("web")).open("n1").forget()
    stage.scale("web", 0).look("web")
    alone.hear()
    expect(alone.told).toMatchObject([["n1", { tasks: [{ desired: "remove" }] }]])
  })

  test("waits for nothing once it has ended by itself", () => {
    const all = desk()
    const { id, on, other } = scaleDown(all)
    all.forget()
    all.stage.report(id, "failed")
    all.hear()
    routed(all, other, 2)
    routed(all, on, 2)
    expect(told(all)).toEqual([`${on} ${id} remove`])
  })
})
