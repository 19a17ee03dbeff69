import { describe, expect, test } from "bun:test"
import { featureLevel } from "#actors/ledger/features.ts"
import { publishLabel } from "#actors/network/publish-at.ts"
import { rowHead } from "#actors/network/tabulate.ts"
import { Desk, published } from "#test/support/desk.ts"
import { Stage } from "#test/support/stage.ts"

test("DI-07 a new session is told everything first, then what changes, in numbered steps", () => {
  const desk = new Desk(new Stage().create("web")).open("n1")
  desk.stage.scale("web", 3).converge()
  desk.hear()
  expect(desk.told.map(([to, { seq, complete, tasks }]) => [to, seq, complete, tasks.length])).toEqual([
    ["n1", 1, true, 1],
    ["n1", 2, false, 2]
  ])
})

test("published ports go to every node, and again only when they change", () => {
  const desk = new Desk(published(new Stage(["n1", "n2"]))).open("n1").open("n2")
  expect(desk.told.map(([, { ports }]) => ports?.[0]?.backends.length)).toEqual([2, 2])
  desk.forget()
  desk.stage.create("other")
  desk.hear()
  expect(desk.told.map(([, { ports }]) => ports)).toEqual([undefined])
  desk.forget()
  desk.stage.scale("web", 1).look("web")
  desk.hear()
  expect(desk.told.map(([, { ports }]) => ports?.[0]?.backends.length)).toEqual([1, 1])
})

test("a port that is open at some addresses alone is told to nodes that know of such, and is no rule of any kernel", () => {
  const stage = new Stage(["n1", "n2"])
  const { Description } = stage.book.tables.get("node", "n1") ?? {}
  if (Description === undefined) throw new Error("n1 has said what it is")
  stage.book.node("n1", { Description: { ...Description, FeatureLevel: featureLevel } })
  published(stage)
  const { Spec, Version } = stage.service("web")
  const spec = { ...Spec, Labels: { [publishLabel]: "192.168.1.0/24" } }
  stage.book.must({ type: "service.update", v: 1, id: stage.service("web").ID, version: Version.Index, spec })
  const desk = new Desk(stage).open("n1").open("n2")
  const told = Object.fromEntries(desk.told.map(([to, { ports }]) => [to, ports?.map(({ only }) => only)]))
  expect(told).toEqual({ n1: [["192.168.1.0/24"]], n2: [] })
  const rows = rowHead(stage.book.tables, stage.service("web").ID, "ingress-id").ports
  expect(rows.map(({ publishedPort }) => publishedPort)).toEqual([undefined])
})

test("a node that asks for everything is told everything under the next number", () => {
  const desk = new Desk(new Stage().create("web")).open("n1")
  desk.say({ _tag: "Resync", nodeId: "n1", session: "n1-session" })
  expect(desk.told.at(-1)).toMatchObject(["n1", { seq: 2, complete: true, tasks: [{ serviceName: "web" }] }])
  desk.say({ _tag: "Resync", nodeId: "n1", session: "another" })
  expect(desk.told).toHaveLength(2)
})

test("a node that does not take what it was sent is told everything, but is given time first", () => {
  const desk = new Desk(new Stage().create("web")).open("n1")
  const heard = { _tag: "Heard", nodeId: "n1", session: "n1-session", applied: 0 } as const
  desk.say(heard)
  expect(desk.told).toHaveLength(1)
  desk.stage.book.time += 2_000
  desk.say(heard)
  expect(desk.told.at(-1)).toMatchObject(["n1", { seq: 2, complete: true }])
})

test("a session that it does not know, or that is ahead of it, is declared over", () => {
  const desk = new Desk(new Stage()).open("n1")
  desk.say({ _tag: "Heard", nodeId: "n2", session: "n2-session", applied: 4 })
  desk.say({ _tag: "Heard", nodeId: "n1", session: "n1-session", applied: 4 })
  expect(desk.expired).toEqual(["n2", "n1"])
})

test("DI-07 a certificate and its key are given to nodes that end TLS, and taken away when no host is shown by it", () => {
  const stage = new Stage(["n1", "n2"])
  const { Description } = stage.book.tables.get("node", "n1") ?? {}
  if (Description === undefined) throw new Error("n1 has said what it is")
  stage.book.node("n1", { Description: { ...Description, TlsEntrance: true } })
  for (const ID of ["old", "new"])
    stage.book.must({
      type: "secret.create",
      v: 1,
      secret: { ID, Spec: { Name: `${ID}-name`, Data: "eA==" } }
    })
  const shownBy = (secret: string) => ({
    Labels: { "troupe.http.host": "shop", "troupe.http.tls": `${secret}-name` },
    Mode: { Replicated: { Replicas: 0 } }
  })
  const desk = new Desk(stage).open("n1").open("n2").forget()
  const hear = () => {
    const told = desk.forget().hear().told
    return told.map(([to, { secrets, dropped }]) => [to, secrets.map(({ id }) => id), dropped])
  }
  stage.create("web", shownBy("old"))
  expect(hear()).toEqual([["n1", ["old"], []]])
  const anew = new Desk(stage).open("n1").open("n2").told
  expect(anew.map(([to, { secrets }]) => [to, secrets.length])).toEqual([
    ["n1", 1],
    ["n2", 0]
  ])
  stage.update("web", () => ({ ...shownBy("new"), Name: "web" })).converge()
  expect(hear()).toEqual([["n1", ["new"], ["old"]]])
  stage.book.must({ type: "service.remove", v: 1, id: stage.service("web").ID })
  expect(hear()).toEqual([["n1", [], ["new"]]])
})

test("DI-09 what is said anew of a secret or a config is no message to any node", () => {
  const stage = published(new Stage())
  for (const kind of ["secret", "config"] as const) {
    const Spec = { Name: kind, Labels: {}, Data: "eA==" }
    stage.book.must({ type: `${kind}.create`, v: 1, [kind]: { ID: kind, Spec } } as never)
  }
  const desk = new Desk(stage).open("a")
  const before = desk.told.length
  for (const kind of ["secret", "config"] as const) {
    const version = stage.book.tables.get(kind, kind)?.Version.Index ?? 0
    const labels = { now: "another" }
    stage.book.must({ type: `${kind}.update`, v: 1, id: kind, version, name: kind, labels } as never)
    stage.book.must({ type: `${kind}.remove`, v: 1, id: kind } as never)
  }
  expect(desk.hear().told.length).toBe(before)
})

describe("a node that is missed", () => {
  const nodes = ["a", "b", "c", "d", "e"]
  /** Five nodes that were all heard of; then only these are, for so long. */
  const heardOf = (living: ReadonlyArray<string>, forMs: number): Desk => {
    const stage = new Stage()
    for (const id of [...stage.book.tables.all("node")].map(({ ID }) => ID))
      stage.book.tables.remove("node", id)
    for (const id of nodes) stage.book.node(id)
    const desk = new Desk(stage)
    for (const id of nodes) desk.open(id)
    for (let ms = 0; ms < forMs; ms += 500) {
      stage.book.time += 500
      for (const id of living) desk.say({ _tag: "Heard", nodeId: id, session: `${id}-session`, applied: 0 })
    }
    return desk
  }
  const missed = (desk: Desk, nodeId: string, silentMs: number): ReadonlyArray<string> =>
    desk.say({ _tag: "Missed", nodeId, silentMs }).lost

  test("is lost where at least half of the others are heard", () => {
    expect(missed(heardOf(["a", "b", "c"], 3_000), "d", 3_000)).toEqual(["d"])
  })

  test("is waited for where more than half are silent, and lost in the end", () => {
    const desk = heardOf(["a", "b"], 3_000)
    expect(missed(desk, "d", 3_000)).toEqual([])
    expect(missed(desk, "d", 9_999)).toEqual([])
    expect(missed(desk, "d", 10_000)).toEqual(["d"])
  })

  test("has three heartbeats' time to be heard, too, when enough others are heard again", () => {
    const desk = heardOf(["a", "b"], 3_000)
    expect(missed(desk, "d", 3_000)).toEqual([])
    for (let ms = 500; ms <= 2_500; ms += 500) {
      desk.stage.book.time += 500
      for (const id of ["a", "b", "c"])
        desk.say({ _tag: "Heard", nodeId: id, session: `${id}-session`, applied: 0 })
      expect(missed(desk, "d", 3_000 + ms)).toEqual([])
    }
    desk.stage.book.time += 500
    expect(missed(desk, "d", 6_000)).toEqual(["d"])
  })

  test("counts with those that a new leader has not heard of at all", () => {
    const desk = heardOf(nodes, 500)
    for (const nodeId of ["c", "d", "e"]) desk.say({ _tag: "SessionClosed", nodeId })
    expect(missed(desk, "e", 3_000)).toEqual([])
  })
})

test("when nodes were last heard of is one entry for all, and none for the leader's own node alone", () => {
  const desk = new Desk(new Stage(["n1", "n2"])).open("n1").open("n2").open("manager")
  desk.say({ _tag: "NoteSeen" })
  expect(desk.asked).toMatchObject([
    { commands: [{ type: "node.observe", nodes: [{ id: "n1" }, { id: "n2" }, { id: "manager" }] }] }
  ])
  desk.say({ _tag: "NoteSeen" })
  desk.open("manager").say({ _tag: "NoteSeen" })
  expect(desk.asked).toHaveLength(1)
})
