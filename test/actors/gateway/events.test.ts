import { expect, test } from "bun:test"
import { type EngineEvent, translate } from "#actors/gateway/events.ts"
import { Book } from "#test/support/ledger.ts"

const of = (book: Book): ReadonlyArray<EngineEvent> => translate(book.changes())

test("a service's life in events", () => {
  const book = new Book().cluster()
  book.changes()
  const spec = (image: string, replicas: number) => ({
    Name: "web",
    TaskTemplate: { ContainerSpec: { Image: image } },
    Mode: { Replicated: { Replicas: replicas } }
  })
  book.time = 1_795_381_312_180
  book.service("s1", spec("a", 2))
  expect(of(book)).toEqual([
    {
      Type: "service",
      Action: "create",
      Actor: { ID: "s1", Attributes: { name: "web" } },
      scope: "swarm",
      time: 1_795_381_312,
      timeNano: 1_795_381_312_180_000_000
    }
  ])
  const version = () => book.tables.get("service", "s1")?.Version.Index ?? 0
  const attributes = () => of(book).map(({ Actor }) => Actor.Attributes)
  book.must({ type: "service.update", v: 1, id: "s1", version: version(), spec: spec("b", 3) })
  expect(attributes()).toEqual([
    { name: "web", "image.new": "b", "image.old": "a", "replicas.new": "3", "replicas.old": "2" }
  ])
  book.must({ type: "service.progress", v: 1, id: "s1", version: version(), status: { State: "updating" } })
  expect(attributes()).toEqual([{ name: "web", "updatestate.new": "updating" }])
  book.must({ type: "service.progress", v: 1, id: "s1", version: version(), status: { State: "completed" } })
  expect(attributes()).toEqual([
    { name: "web", "updatestate.new": "completed", "updatestate.old": "updating" }
  ])
  book.must({ type: "service.update", v: 1, id: "s1", version: version(), spec: spec("b", 3) })
  expect(attributes()).toEqual([{ name: "web" }])
  book.time = 1_795_381_400_000
  book.must({ type: "service.remove", v: 1, id: "s1" })
  expect(of(book)).toMatchObject([{ Action: "remove", time: 1_795_381_400, Actor: { ID: "s1" } }])
})

test("a node's steps are told, its heartbeats are not", () => {
  const book = new Book().cluster().node("n1")
  book.changes()
  book.must({ type: "node.observe", v: 1, nodes: [{ id: "n1", lastSeen: "2026-11-22T00:00:00Z" }] })
  expect(of(book)).toEqual([])
  book.must({ type: "node.observe", v: 1, nodes: [{ id: "n1", status: { State: "down" } }] })
  expect(of(book)[0]?.Actor.Attributes).toEqual({ name: "n1", "state.new": "down", "state.old": "ready" })
  const version = book.tables.get("node", "n1")?.Version.Index ?? 0
  const spec = { Role: "worker", Availability: "drain" } as const
  book.must({ type: "node.update", v: 1, id: "n1", version, spec })
  expect(of(book)[0]?.Actor.Attributes).toEqual({
    name: "n1",
    "availability.new": "drain",
    "availability.old": "active"
  })
})

test("networks, secrets and configs come by name; tasks are silent", () => {
  const book = new Book().cluster().network("net1")
  book.must({ type: "secret.create", v: 1, secret: { ID: "sec", Spec: { Name: "pass", Data: "eA==" } } })
  book.must({ type: "config.create", v: 1, config: { ID: "con", Spec: { Name: "conf", Data: "eA==" } } })
  book.service("s1")
  book.tasks("s1", 2)
  const told = of(book).map(({ Type, Action, Actor }) => `${Type} ${Action} ${Actor.Attributes.name}`)
  expect(told).toEqual([
    "node create manager",
    "network create net1",
    "secret create pass",
    "config create conf",
    "service create s1"
  ])
})
