import { expect, test } from "bun:test"
import { addressesOn } from "#actors/ledger/addresses-on.ts"
import { levelOf } from "#actors/ledger/features.ts"
import { mostHttpRoutes } from "#actors/model/http-route.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { Book } from "#test/support/ledger.ts"

const refusalOf = (result: ReturnType<Book["write"]>) =>
  result._tag === "Refused" ? result.refusal : { code: "none", message: "applied" }

test("a service's name is taken once", () => {
  const book = new Book().cluster()
  book.service("web")
  const again = book.write({
    type: "service.create",
    v: 1,
    service: { ID: "other", SpecVersion: 1, Spec: { Name: "web" } }
  })
  expect(refusalOf(again)).toEqual({
    code: "alreadyExists",
    message:
      "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service web already exists"
  })
  expect(book.tables.count("service")).toBe(1)
})

test("a stale version is refused and changes nothing", () => {
  const book = new Book().cluster()
  const service = book.service("web", { Labels: { a: "1" } })
  book.must({
    type: "service.update",
    v: 1,
    id: "web",
    version: service.Version.Index,
    spec: { Name: "web", Labels: { a: "2" } }
  })
  const stale = book.write({
    type: "service.update",
    v: 1,
    id: "web",
    version: service.Version.Index,
    spec: { Name: "web", Labels: { a: "3" } }
  })
  expect(refusalOf(stale).code).toBe("outOfSequence")
  expect(book.tables.get("service", "web")?.Spec.Labels).toEqual({ a: "2" })
})

test("only a changed task template makes a new spec version", () => {
  const book = new Book().cluster()
  const first = book.service("web", { TaskTemplate: { ContainerSpec: { Image: "a" } } })
  const update = (spec: object) => {
    const now = book.tables.get("service", "web")
    book.must({
      type: "service.update",
      v: 1,
      id: "web",
      version: now?.Version.Index ?? 0,
      spec: { Name: "web", ...spec }
    })
    return book.tables.get("service", "web")?.SpecVersion
  }
  expect(update({ TaskTemplate: { ContainerSpec: { Image: "a" } }, Labels: { x: "y" } })).toBe(
    first.SpecVersion
  )
  expect(
    update({ TaskTemplate: { ContainerSpec: { Image: "a" } }, Mode: { Replicated: { Replicas: 9 } } })
  ).toBe(first.SpecVersion)
  expect(update({ TaskTemplate: { ContainerSpec: { Image: "b" } } })).not.toBe(first.SpecVersion)
})

test("a rollback by hand toggles between two specs", () => {
  const book = new Book().cluster()
  book.service("web", { TaskTemplate: { ContainerSpec: { Image: "a" } } })
  const now = () => book.tables.get("service", "web")
  const image = () => now()?.Spec.TaskTemplate?.ContainerSpec?.Image
  const write = (rest: object) =>
    book.write({
      type: "service.update",
      v: 1,
      id: "web",
      version: now()?.Version.Index ?? 0,
      spec: { Name: "web", TaskTemplate: { ContainerSpec: { Image: "b" } } },
      ...rest
    })
  expect(refusalOf(write({ rollback: "previous" })).message).toContain("does not have a previous spec")
  write({})
  expect(image()).toBe("b")
  write({ rollback: "previous" })
  expect(image()).toBe("a")
  expect(now()?.UpdateStatus?.State).toBe("rollback_started")
  write({ rollback: "previous" })
  expect(image()).toBe("b")
})

test("a load that asks for another number of tasks is no update: what goes on and what a rollback brings back stay", () => {
  const book = new Book().cluster()
  book.service("web", { TaskTemplate: { ContainerSpec: { Image: "a" } } })
  const now = () => book.tables.get("service", "web")
  const at = () => ({ v: 1, id: "web", version: now()?.Version.Index ?? 0 }) as const
  const scale = (replicas: number) => book.write({ type: "service.scale", ...at(), replicas })
  const shown = () => ({
    image: now()?.Spec.TaskTemplate?.ContainerSpec?.Image,
    tasks: now()?.Spec.Mode?.Replicated?.Replicas,
    update: now()?.UpdateStatus?.State
  })
  const spec = { Name: "web", TaskTemplate: { ContainerSpec: { Image: "b" } } }
  book.must({ type: "service.update", ...at(), spec, registryAuth: "mine" })
  book.must({ type: "service.progress", ...at(), status: { State: "completed" } })
  scale(7)
  expect(shown()).toEqual({ image: "b", tasks: 7, update: "completed" })
  expect(now()?.RegistryAuth).toBe("mine")
  book.must({ type: "service.update", ...at(), spec, rollback: "previous" })
  expect(shown()).toEqual({ image: "a", tasks: 7, update: "rollback_started" })
  expect(
    refusalOf(book.write({ type: "service.scale", ...at(), version: 1, replicas: 2 })).message
  ).toContain("out of sequence")
  book.service("all", { Mode: { Global: {} } })
  const version = book.tables.get("service", "all")?.Version.Index ?? 0
  const global = book.write({ type: "service.scale", v: 1, id: "all", version, replicas: 2 })
  expect(refusalOf(global).message).toContain("service mode change is not allowed")
})

test("a rollback of the orchestrator's does not take back a port that another service has, once all managers judge it", () => {
  const rolledBack = (FeatureLevel: number) => {
    const book = new Book().cluster({ FeatureLevel })
    const ports = { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8080 }] } }
    const web = book.service("web", ports)
    book.must({
      type: "service.update",
      v: 1,
      id: "web",
      version: web.Version.Index,
      spec: { Name: "web" }
    })
    book.service("other", ports)
    return book.write({
      type: "service.progress",
      v: 1,
      id: "web",
      version: book.tables.get("service", "web")?.Version.Index ?? 0,
      status: { State: "rollback_started" },
      rollback: true
    })
  }
  expect(refusalOf(rolledBack(21)).message).toContain(
    "port '8080' is already in use by service 'other' (other) as an ingress port"
  )
  expect(rolledBack(20)._tag).toBe("Applied")
})

test("a spec version is kept while a task points at it, and forgotten after", () => {
  const book = new Book().cluster()
  const { SpecVersion: old } = book.service("web", { TaskTemplate: { ContainerSpec: { Image: "a" } } })
  const [task = ""] = book.tasks("web", 1)
  for (const image of ["b", "c"]) {
    book.must({
      type: "service.update",
      v: 1,
      id: "web",
      version: book.tables.get("service", "web")?.Version.Index ?? 0,
      spec: { Name: "web", TaskTemplate: { ContainerSpec: { Image: image } } }
    })
  }
  expect(book.tables.taskSpec("web", old)?.ContainerSpec?.Image).toBe("a")
  book.must({ type: "tasks.change", v: 1, create: [], update: [], remove: [task] })
  expect(book.tables.taskSpec("web", old)).toBeUndefined()
})

test("DI-12 DI-13 what a node reports only moves a task forward, and only its own", () => {
  const book = new Book().cluster().node("n1").node("n2")
  book.service("web")
  const [id = ""] = book.tasks("web", 1, { NodeID: "n1", Status: { Timestamp: "", State: "assigned" } })
  const report = (node: string, state: "preparing" | "running" | "failed" | "orphaned" | "new") =>
    book.write({
      type: "tasks.report",
      v: 1,
      node,
      statuses: [{ id, status: { Timestamp: "", State: state } }]
    })
  const state = () => book.tables.get("task", id)?.Status.State
  report("n2", "running")
  expect(state()).toBe("assigned")
  report("n1", "running")
  report("n1", "preparing")
  expect(state()).toBe("running")
  report("n1", "orphaned")
  expect(state()).toBe("running")
  report("n1", "failed")
  report("n1", "running")
  expect(state()).toBe("failed")
})

test("what ended before a decision about it was written is given no other end, once all managers hold to that", () => {
  const endOf = (FeatureLevel: number, state: "rejected" | "orphaned"): string | undefined => {
    const book = new Book().cluster({ FeatureLevel }).node("n1")
    book.service("web")
    const [id = ""] = book.tasks("web", 1, { NodeID: "n1", Status: { Timestamp: "", State: "failed" } })
    const update = [{ id, Status: { Timestamp: "", State: state } }]
    book.must({ type: "tasks.change", v: 1, create: [], update, remove: [] })
    return book.tables.get("task", id)?.Status.State
  }
  expect(endOf(7, "rejected")).toBe("rejected")
  expect(endOf(8, "rejected")).toBe("failed")
  expect(endOf(8, "orphaned")).toBe("orphaned")
})

test("a published port has one owner in ingress mode; host ports may repeat, but not beside ingress", () => {
  const book = new Book().cluster()
  const port = (mode: "ingress" | "host", protocol: "tcp" | "udp" = "tcp") => ({
    EndpointSpec: {
      Ports: [{ TargetPort: 80, PublishedPort: 8080, PublishMode: mode, Protocol: protocol } as const]
    }
  })
  const create = (id: string, spec: object) =>
    refusalOf(
      book.write({
        type: "service.create",
        v: 1,
        service: { ID: id, SpecVersion: 1, Spec: { Name: id, ...spec } }
      })
    )
  expect(create("a", port("ingress")).code).toBe("none")
  expect(create("b", port("ingress"))).toEqual({
    code: "invalidArgument",
    message:
      "rpc error: code = InvalidArgument desc = port '8080' is already in use by service 'a' (a) as an ingress port"
  })
  expect(create("c", port("host")).code).toBe("invalidArgument")
  expect(create("d", port("ingress", "udp")).code).toBe("none")
  book.must({ type: "service.remove", v: 1, id: "a" })
  expect(create("e", port("host")).code).toBe("none")
  expect(create("f", port("host")).code).toBe("none")
  expect(create("g", port("ingress")).code).toBe("invalidArgument")
})

test("services share an ingress port where their labels say different addresses, once every manager knows that", () => {
  const level = levelOf["ports at addresses"]
  const at = (book: Book, id: string, where: string | undefined, mode: "ingress" | "host" = "ingress") =>
    book.write({
      type: "service.create",
      v: 1,
      service: {
        ID: id,
        SpecVersion: 1,
        Spec: {
          Name: id,
          ...(where !== undefined && { Labels: { "troupe.publish.ip": where } }),
          EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8080, PublishMode: mode }] }
        }
      }
    })._tag
  const book = new Book().cluster({ FeatureLevel: level })
  expect(at(book, "a", "192.168.1.5")).toBe("Applied")
  expect(at(book, "b", "192.168.1.6")).toBe("Applied")
  expect(at(book, "c", "192.168.1.0/24")).toBe("Refused")
  expect(at(book, "d", undefined)).toBe("Refused")
  expect(at(book, "e", "192.168.2.1", "host")).toBe("Refused")
  const before = new Book().cluster({ FeatureLevel: level - 1 })
  expect([at(before, "a", "192.168.1.5"), at(before, "b", "192.168.1.6")]).toEqual(["Applied", "Refused"])
})

test("a host and path of the HTTP entrance are one service's, once every manager knows that", () => {
  const level = levelOf["http routes"]
  const at = (book: Book, id: string, path: string, host = "shop") => {
    const Labels = { "troupe.http.host": host, "troupe.http.path": path }
    return book.write({
      type: "service.create",
      v: 1,
      service: { ID: id, SpecVersion: 1, Spec: { Name: id, Labels } }
    })
  }
  const book = new Book().cluster({ FeatureLevel: level })
  expect(at(book, "a", "/api")._tag).toBe("Applied")
  expect(refusalOf(at(book, "b", "/api/", "SHOP")).message).toContain(
    `labels troupe.http.host "shop", troupe.http.path "/api/": expected what no other service has, but service 'a' (a) has them`
  )
  expect([at(book, "c", "/")._tag, at(book, "d", "/api", "other")._tag]).toEqual(["Applied", "Applied"])
  const before = new Book().cluster({ FeatureLevel: level - 1 })
  expect([at(before, "a", "/api")._tag, at(before, "b", "/api")._tag]).toEqual(["Applied", "Applied"])
})

test("a route more than HTTP entrances have room for is refused by number, once every manager counts them", () => {
  const level = levelOf["http routes are counted"]
  const routed = (host: string) => ({ Labels: { "troupe.http.host": host } })
  const begin = (FeatureLevel: number): Book => {
    const book = new Book().cluster({ FeatureLevel })
    book.service("plain")
    const first = book.service("s0", routed("s0"))
    for (let at = 1; at < mostHttpRoutes; at++)
      book.tables.put("service", { ...first, ID: `s${at}`, Spec: { Name: `s${at}`, ...routed(`s${at}`) } })
    return book
  }
  const create = (book: Book, id: string, spec: ServiceSpec = routed(id)) =>
    book.write({
      type: "service.create",
      v: 1,
      service: { ID: id, SpecVersion: 1, Spec: { Name: id, ...spec } }
    })
  const update = (book: Book, id: string, Labels: Readonly<Record<string, string>>) => {
    const version = book.tables.get("service", id)?.Version.Index ?? 0
    return book.write({ type: "service.update", v: 1, id, version, spec: { Name: id, Labels } })
  }
  const words = `label troupe.http.host "more": expected at most 1024 services with a route, as many as an HTTP entrance leads to, but 1024 have one already`
  const { Labels: more } = routed("more")

  const book = begin(level)
  expect(refusalOf(create(book, "more")).message).toContain(words)
  expect(refusalOf(update(book, "plain", more)).message).toContain(words)
  expect([create(book, "other", {})._tag, update(book, "s1", more)._tag]).toEqual(["Applied", "Applied"])
  book.must({ type: "service.remove", v: 1, id: "s1" })
  expect([update(book, "plain", more)._tag, create(book, "late")._tag]).toEqual(["Applied", "Refused"])
  expect(create(begin(level - 1), "more")._tag).toBe("Applied")
})

test("secrets, configs and networks that a service uses cannot be removed", () => {
  const book = new Book().cluster().network("abcdefghijklmnopqrstuvwxy", "net")
  book.must({ type: "secret.create", v: 1, secret: { ID: "s", Spec: { Name: "key", Data: "eA==" } } })
  book.service("web", {
    TaskTemplate: {
      ContainerSpec: { Secrets: [{ SecretID: "s", SecretName: "key" }] },
      Networks: [{ Target: "abcdefghijklmnopqrstuvwxy" }]
    }
  })
  expect(refusalOf(book.write({ type: "secret.remove", v: 1, id: "s" })).message).toContain(
    "secret 'key' is in use by the following service: web"
  )
  expect(
    refusalOf(book.write({ type: "network.remove", v: 1, id: "abcdefghijklmnopqrstuvwxy" })).message
  ).toContain("is in use by service web")
  book.must({ type: "service.remove", v: 1, id: "web" })
  book.must({ type: "secret.remove", v: 1, id: "s" })
  book.must({ type: "network.remove", v: 1, id: "abcdefghijklmnopqrstuvwxy" })
})

test("a secret that a host is shown by stays, and must be there, once every manager knows that", () => {
  const level = levelOf["http tls"]
  const at = (book: Book, id: string, secret: string) =>
    book.write({
      type: "service.create",
      v: 1,
      service: {
        ID: id,
        SpecVersion: 1,
        Spec: { Name: id, Labels: { "troupe.http.host": id, "troupe.http.tls": secret } }
      }
    })
  const begin = (FeatureLevel: number): Book => {
    const book = new Book().cluster({ FeatureLevel })
    book.must({ type: "secret.create", v: 1, secret: { ID: "s", Spec: { Name: "cert", Data: "eA==" } } })
    return book
  }
  const remove = { type: "secret.remove", v: 1, id: "s" } as const
  const book = begin(level)
  expect(refusalOf(at(book, "a", "none")).message).toContain("secret not found: none (label troupe.http.tls)")
  expect([at(book, "b", "cert")._tag, at(book, "a", "cert")._tag]).toEqual(["Applied", "Applied"])
  expect(refusalOf(book.write(remove)).message).toContain(
    "secret 'cert' is in use by the following services: a, b"
  )
  for (const id of ["a", "b"]) book.must({ type: "service.remove", v: 1, id })
  book.must(remove)
  const before = begin(level - 1)
  expect([at(before, "a", "none")._tag, at(before, "b", "cert")._tag]).toEqual(["Applied", "Applied"])
  before.must(remove)
})

test("a task change with a stale version is skipped by name, the rest of the command goes on", () => {
  const book = new Book().cluster().node("n1")
  book.service("web")
  const [a = "", b = ""] = book.tasks("web", 2)
  const stale = (book.tables.get("task", a)?.Version.Index ?? 0) - 1
  const result = book.must({
    type: "tasks.change",
    v: 1,
    create: [],
    update: [
      { id: a, version: stale, NodeID: "n1" },
      { id: b, NodeID: "n1" }
    ],
    remove: []
  })
  expect(result._tag === "Applied" && result.applied.skipped).toEqual([a])
  expect(book.tables.get("task", a)?.NodeID).toBeUndefined()
  expect([...book.tables.tasksOfNode("n1")].map((task) => task.ID)).toEqual([b])
})

test("removing a node orphans its tasks; a manager or a ready node stays", () => {
  const book = new Book().cluster().node("n1")
  book.service("web")
  const [id = ""] = book.tasks("web", 1, { NodeID: "n1", Status: { Timestamp: "", State: "running" } })
  expect(refusalOf(book.write({ type: "node.remove", v: 1, id: "manager", force: true })).message).toContain(
    "must be demoted to worker before removal"
  )
  expect(refusalOf(book.write({ type: "node.remove", v: 1, id: "n1", force: false })).message).toContain(
    "is not down and can't be removed"
  )
  book.must({ type: "node.remove", v: 1, id: "n1", force: true })
  expect(book.tables.get("task", id)?.Status.State).toBe("orphaned")
})

test("CT-20 a removed node's tasks are orphaned, those that ended stay as they are, and no address of theirs is taken any more", () => {
  const book = new Book().cluster().network("net", "back").node("n1").node("n2")
  book.service("web")
  const taskOn = (node: string, at: number, state: "running" | "failed") => {
    const Attachments = [{ NetworkID: "net", Addresses: [`10.0.0.${at}/24`] }]
    return (
      book.tasks("web", 1, { NodeID: node, Attachments, Status: { Timestamp: "", State: state } })[0] ?? ""
    )
  }
  const [gone, ended, other] = [
    taskOn("n1", 4, "running"),
    taskOn("n1", 5, "failed"),
    taskOn("n2", 6, "running")
  ]
  const attached = { ID: "c".repeat(64), NetworkID: "net", Name: "shell", Addresses: ["10.0.0.7/24"] }
  book.must({ type: "node.attach", v: 1, id: "n1", attached })
  const elsewhere = { ...attached, ID: "d".repeat(64), Addresses: ["10.0.0.8/24"] }
  expect(refusalOf(book.write({ type: "node.attach", v: 1, id: "n9", attached: elsewhere })).code).toBe(
    "notFound"
  )
  expect(addressesOn(book.tables, "net")).toContain("10.0.0.4")
  book.must({ type: "node.remove", v: 1, id: "n1", force: true })
  const stateOf = (id: string) => book.tables.get("task", id)?.Status.State
  expect([stateOf(gone), stateOf(ended), stateOf(other)]).toEqual(["orphaned", "failed", "running"])
  const left = [...addressesOn(book.tables, "net")]
  expect(left).toContain("10.0.0.6")
  expect(left.filter((address) => /\.[457]$/.test(address))).toEqual([])
})

test("each entry's changes are told as one set, with what was before and after", () => {
  const book = new Book().cluster()
  book.changes()
  book.service("web")
  const { changes, index } = book.changes()
  expect(changes.map(({ kind, before, after }) => [kind, before?.ID, after?.ID])).toEqual([
    ["service", undefined, "web"]
  ])
  expect(index).toBe(book.tables.index)
})

test("H2 a refusal names those who use a secret by id, whichever came first", () => {
  const [one, other] = [
    ["a", "b", "c"],
    ["c", "a", "b"]
  ].map((order) => {
    const book = new Book().cluster()
    book.must({ type: "secret.create", v: 1, secret: { ID: "s", Spec: { Name: "key", Data: "AAE=" } } })
    for (const id of order) {
      book.service(id, {
        TaskTemplate: { ContainerSpec: { Secrets: [{ SecretID: "s", SecretName: "key" }] } }
      })
    }
    return refusalOf(book.write({ type: "secret.remove", v: 1, id: "s" })).message
  })
  expect(one).toContain("a, b, c")
  expect(other).toBe(one as string)
})
