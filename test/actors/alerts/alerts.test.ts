/** What is alerted of, when, and when not; and that others are told. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { X509Certificate } from "node:crypto"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import { Effect } from "effect"
import { AlertSurroundings, alerts } from "#actors/alerts/actor.ts"
import { type AlertsState, decide, start } from "#actors/alerts/decide.ts"
import type { AlertsAction, Facts, Fired, Notice } from "#actors/alerts/protocol.ts"
import { featureLevel, levelOf } from "#actors/ledger/features.ts"
import { Ledger } from "#actors/ledger/service.ts"
import type { UpdateStatus } from "#actors/model/objects.ts"
import { toIso } from "#actors/model/time.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"
import { Book } from "#test/support/ledger.ts"
import { siteCertificate } from "#test/support/site-certificate.ts"

const gib = 1024 ** 3
const begin = 1_000_000_000

class Look {
  readonly book = new Book()
  now = begin
  /** Whether what is told can be written, and whether it is heard how that ended. */
  writes = true
  hears = true
  readonly notices: Array<Notice> = []
  #state: AlertsState

  constructor(level = featureLevel) {
    this.book.time = begin
    this.book.cluster({ FeatureLevel: level })
    this.#state = start({ ledger: this.book.tables }, this.#moment()).state
  }

  #moment() {
    return { now: this.now, fresh: Fresh.from(1), self: address("leader", "alerts", "main") }
  }

  /** What is told after so many seconds, as `firing node-down n1`. */
  after(seconds: number, facts: Facts = { disks: [] }): ReadonlyArray<string> {
    const told: Array<string> = []
    for (let second = 0; second < seconds; second++) {
      this.now += 1_000
      let step = decide(this.#state, { _tag: "Gathered", facts }, this.#moment())
      for (const note of step.actions) {
        if (note._tag !== "Note") continue
        const { commands, notices } = note
        if (this.writes) for (const command of commands) this.book.must(command)
        const isWritten = this.writes && this.hears
        step = decide(step.state, { _tag: "Noted", isWritten, notices }, this.#moment())
      }
      this.#state = step.state
      for (const action of step.actions)
        if (action._tag === "Notify") {
          this.notices.push(...action.notices)
          told.push(...action.notices.map(({ state, condition, id }) => `${state} ${condition} ${id}`))
        }
    }
    return told
  }

  /** Another manager leads, which knows what the ledger says. */
  another(): void {
    this.#state = start({ ledger: this.book.tables }, this.#moment()).state
  }

  /** What is answered to whoever asks. */
  told(): ReadonlyArray<string> {
    const asker = { reply: "asker" } as never
    const { actions } = decide(this.#state, { _tag: "Tell" }, { ...this.#moment(), asker })
    return actions.flatMap((action) =>
      action._tag === "Reply"
        ? (action.message as Fired).alerts.map(({ condition, id }) => `${condition} ${id}`)
        : []
    )
  }

  unissued(problems: Readonly<Record<string, string>>): void {
    this.#state = decide(this.#state, { _tag: "Unissued", problems }, this.#moment()).state
  }

  /** A second in which the service's autoscaler says so. */
  withoutLoad(id: string, ...targets: ReadonlyArray<string>): ReadonlyArray<string> {
    const said = { _tag: "Unknown", service: id, targets } as const
    this.#state = decide(this.#state, said, this.#moment()).state
    return this.after(1)
  }

  service(id: string, replicas: number): void {
    this.book.service(id, { Mode: { Replicated: { Replicas: replicas } }, TaskTemplate: {} })
  }
}

test("a service whose host gets no certificate by ACME is told of, until it has one", () => {
  const look = new Look()
  const Labels = { "troupe.http.host": "shop.example", "troupe.http.tls": "acme" }
  look.book.service("web", { Labels, Mode: { Replicated: { Replicas: 0 } } })
  look.unissued({ "shop.example": "no such host", "other.example": "neither" })
  expect(look.after(1)).toEqual(["firing certificate-ends web"])
  look.unissued({})
  expect(look.after(1)).toEqual(["ended certificate-ends web"])
})

test("an update that a failure paused is told of, until it goes on", () => {
  const goOn = (look: Look, status: UpdateStatus): void => {
    const version = look.book.tables.get("service", "web")?.Version.Index ?? 0
    look.book.must({ type: "service.progress", v: 1, id: "web", version, status })
  }
  const paused = { State: "paused", Message: "update paused due to failure" } as const
  const look = new Look()
  look.service("web", 0)
  goOn(look, paused)
  expect(look.after(1)).toEqual(["firing update-paused web"])
  expect(look.notices[0]?.says).toBe(
    "the update of service web stands still until it is updated again or rolled back: update paused due to failure"
  )
  goOn(look, { State: "completed" })
  expect(look.after(1)).toEqual(["ended update-paused web"])
  const early = new Look(levelOf["alerts of updates and loads"] - 1)
  early.service("web", 0)
  goOn(early, paused)
  expect(early.after(3)).toEqual([])
})

test("a load that nothing was known of for a minute is told of, until its service's autoscaler knows it again", () => {
  const look = new Look()
  look.service("web", 0)
  for (let second = 0; second < 60; second++) expect(look.withoutLoad("web", "nats:a")).toEqual([])
  expect(look.withoutLoad("web", "nats:a", "cpu")).toEqual(["firing load-unknown web"])
  expect(look.notices[0]?.says).toBe(
    "nothing is known of nats:a, cpu, by which service web is scaled: it keeps at least the tasks that it has"
  )
  // The next leader's autoscaler has not said anything yet.
  look.another()
  expect(look.after(3)).toEqual([])
  expect(look.withoutLoad("web", "nats:a")).toEqual([])
  expect(look.after(4)).toEqual([])
  expect(look.after(1)).toEqual(["ended load-unknown web"])
})

describe("a node", () => {
  test("that is down is told of after five seconds, and when it is back", () => {
    const look = new Look()
    look.after(10)
    look.book.node("n1", { Status: { State: "down", Message: "heartbeat failure" } })
    expect(look.after(5)).toEqual([])
    expect(look.after(1)).toEqual(["firing node-down n1"])
    expect(look.after(60)).toEqual([])
    look.book.must({ type: "node.observe", v: 1, nodes: [{ id: "n1", status: { State: "ready" } }] })
    expect(look.after(1)).toEqual(["ended node-down n1"])
  })

  test("whose disk is nearly full is told of, unless a tenth of it is still ten GiB", () => {
    const look = new Look()
    look.book.node("n1", {})
    const disk = (free: number, total: number): Facts => ({ disks: [{ nodeId: "n1", free, total }] })
    expect(look.after(30, disk(20 * gib, 1_000 * gib))).toEqual([])
    expect(look.after(30, disk(2 * gib, 10 * gib))).toEqual([])
    expect(look.after(30, disk(gib / 2, 10 * gib))).toEqual(["firing disk-low n1"])
    expect(look.notices.at(-1)?.says).toBe(
      "512 MiB of 10 GiB are left on the disk that holds the data directory of node n1"
    )
    expect(look.after(1, disk(5 * gib, 10 * gib))).toEqual(["ended disk-low n1"])
  })

  test("whose disk is full is told to whoever asks, also where nothing can be written for that", () => {
    const look = new Look()
    look.book.node("n1", {})
    look.writes = false
    const full: Facts = { disks: [{ nodeId: "n1", free: 0, total: gib }] }
    look.after(9, full)
    expect(look.told()).toEqual([])
    expect(look.after(20, full)).toEqual([])
    expect(look.told()).toEqual(["disk-low n1"])
    look.writes = true
    expect(look.after(1, full)).toEqual(["firing disk-low n1"])
    expect(look.told()).toEqual(["disk-low n1"])
  })
})

describe("a node whose clock is off", () => {
  const ahead = (...clocks: ReadonlyArray<readonly [string, number]>): Facts => ({
    disks: [],
    clocks: clocks.map(([nodeId, aheadMs]) => ({ nodeId, aheadMs }))
  })
  const look = (level = featureLevel): Look => {
    const look = new Look(level)
    for (const id of ["m1", "n2", "n3"]) look.book.node(id, {})
    return look
  }

  test("is told of after ten seconds, by how much and whose clock it differs from, until it is right", () => {
    const one = look()
    expect(one.after(30, ahead(["m1", 0], ["n2", 29_000]))).toEqual([])
    expect(one.after(10, ahead(["m1", 0], ["n2", 3_480_000]))).toEqual([])
    expect(one.after(1, ahead(["m1", 0], ["n2", 3_480_000]))).toEqual(["firing clock-off n2"])
    expect(one.notices[0]?.says).toBe(
      "the clock of node n2 is 58 min ahead of the leader's: let NTP set it (timedatectl)"
    )
    // Whose clock is not known is not taken for right.
    expect(one.after(30, ahead(["m1", 0]))).toEqual([])
    expect(one.after(1, ahead(["m1", 0], ["n2", 10]))).toEqual(["ended clock-off n2"])
  })

  test("is the leader where the others agree", () => {
    const one = look()
    const facts = ahead(["m1", 0], ["n2", -86_400_000], ["n3", -86_400_100])
    expect(one.after(11, facts)).toEqual(["firing clock-off m1"])
    expect(one.notices[0]?.says).toBe(
      "the clock of node m1 is 24 h ahead of most others': let NTP set it (timedatectl)"
    )
  })

  test("is not told of while managers of earlier releases would not know the word", () => {
    expect(look(levelOf["alerts of clocks"] - 1).after(60, ahead(["m1", 0], ["n2", 1e9]))).toEqual([])
  })
})

test("a service that is short of tasks is told of after half a minute, and not at all when that passes", () => {
  const look = new Look()
  look.service("web", 1)
  expect(look.after(30)).toEqual([])
  expect(look.after(1)).toEqual(["firing service-short web"])
  look.book.must({ type: "service.remove", v: 1, id: "web" })
  expect(look.after(1)).toEqual(["ended service-short web"])
  look.service("db", 1)
  look.after(20)
  look.book.must({ type: "service.remove", v: 1, id: "db" })
  expect(look.after(60)).toEqual([])
})

test("a task on a node that is down is none of those a service has", () => {
  const look = new Look()
  look.book.node("n1", {})
  look.service("db", 1)
  look.book.tasks("db", 1, { NodeID: "n1", Status: { Timestamp: "", State: "running" } })
  expect(look.after(40)).toEqual([])
  const lastSeen = toIso(look.now)
  look.book.must({ type: "node.observe", v: 1, nodes: [{ id: "n1", status: { State: "down" }, lastSeen }] })
  expect(look.after(40)).toEqual(["firing node-down n1", "firing service-short db"])
  expect(look.notices.map(({ since }) => toIso(since))).toEqual([lastSeen, lastSeen])
})

test("a root certificate that ends within thirty days is told of", () => {
  const look = new Look()
  const ends = (days: number): Facts => ({ disks: [], rootEnds: look.now + days * 86_400_000 })
  expect(look.after(3, ends(31))).toEqual([])
  expect(look.after(1, ends(29))[0]).toStartWith("firing certificate-ends")
})

test("a certificate that a host is shown by is told of two weeks before it ends, until another is named", () => {
  const look = new Look()
  const spec = (secret: string) => ({
    Name: "web",
    Mode: { Replicated: { Replicas: 0 } },
    Labels: { "troupe.http.host": "shop", "troupe.http.tls": secret }
  })
  for (const ID of ["old", "new"])
    look.book.must({ type: "secret.create", v: 1, secret: { ID, Spec: { Name: ID, Data: "eA==" } } })
  const { Version } = look.book.service("web", spec("old"))
  const ends = (days: number): Facts => ({
    disks: [],
    certificateEnds: { old: look.now + days * 86_400_000, new: look.now + 90 * 86_400_000, other: 0 }
  })
  expect(look.after(3, ends(15))).toEqual([])
  const since = look.now - 86_400_000
  expect(look.after(1, ends(13))).toEqual(["firing certificate-ends web"])
  expect(look.notices.at(-1)?.since).toBe(since)
  look.book.must({ type: "service.update", v: 1, id: "web", version: Version.Index, spec: spec("new") })
  expect(look.after(1, ends(13))).toEqual(["ended certificate-ends web"])
})

test("tasks that fail again and again are told of, and no longer once five minutes were quiet", () => {
  const look = new Look()
  look.service("web", 0)
  const fail = (count: number): void => {
    const Status = { Timestamp: toIso(look.now), State: "failed", Err: "task: non-zero exit (1)" } as const
    look.book.tasks("web", count, { Status, DesiredState: "shutdown" })
  }
  fail(2)
  expect(look.after(10)).toEqual([])
  fail(1)
  const third = look.now
  expect(look.after(1)).toEqual(["firing crash-loop web"])
  expect(look.notices.at(-1)?.since).toBe(third)
  expect(look.after(280)).toEqual([])
  expect(look.after(20)).toEqual(["ended crash-loop web"])
})

describe("another leader", () => {
  const down = (look: Look, id: string, seconds: number) =>
    look.book.node(id, {
      Status: { State: "down" },
      LastSeen: toIso(look.now - seconds * 1_000)
    })

  test("tells nothing again, and once what ended meanwhile; since when is as it was", () => {
    const look = new Look()
    down(look, "n1", 2)
    look.service("web", 1)
    expect(look.after(40)).toEqual(["firing node-down n1", "firing service-short web"])
    const { Version } = look.book.tables.cluster() ?? { Version: undefined }
    look.another()
    expect(look.after(60)).toEqual([])
    look.another()
    look.book.must({ type: "node.observe", v: 1, nodes: [{ id: "n1", status: { State: "ready" } }] })
    expect(look.after(1)).toEqual(["ended node-down n1"])
    look.another()
    expect(look.after(60)).toEqual([])
    const since = look.notices.map((notice) => notice.since)
    expect(since).toEqual([begin - 2_000, begin + 1_000, begin - 2_000])
    expect(look.book.tables.cluster()?.Version).toEqual(Version as never)
    look.book.must({ type: "service.remove", v: 1, id: "web" })
    expect(look.after(1)).toEqual(["ended service-short web"])
    expect(look.book.tables.cluster()).not.toHaveProperty("Alerts")
  })

  test("counts on where the ledger says since when, also of what nobody was told of yet", () => {
    const look = new Look()
    look.service("web", 1)
    look.book.tasks("web", 1, { Status: { Timestamp: "", State: "preparing" }, DesiredState: "running" })
    look.book.tasks("web", 1, { Status: { Timestamp: "", State: "pending" }, DesiredState: "running" })
    look.now += 20_000
    look.another()
    expect(look.after(9)).toEqual([])
    expect(look.after(1)).toEqual(["firing service-short web"])
    expect(look.notices.map(({ since }) => since)).toEqual([begin])
    const ends = look.now + 10 * 86_400_000
    look.after(1, { disks: [], rootEnds: ends })
    expect(look.notices.at(-1)?.since).toBe(ends - 30 * 86_400_000)
  })

  test("does not take for ended what it was not told yet: disks, and certificates by ACME", () => {
    const look = new Look()
    look.book.node("n1", { Status: { State: "ready" } })
    const Labels = { "troupe.http.host": "shop.example", "troupe.http.tls": "acme" }
    look.book.service("web", { Labels, Mode: { Replicated: { Replicas: 0 } } })
    look.unissued({ "shop.example": "no such host" })
    const low: Facts = { disks: [{ nodeId: "n1", free: gib / 2, total: 10 * gib }] }
    expect(look.after(20, low)).toEqual(["firing certificate-ends web", "firing disk-low n1"])
    look.another()
    expect(look.after(30)).toEqual([])
    look.unissued({})
    const well: Facts = { disks: [{ nodeId: "n1", free: 5 * gib, total: 10 * gib }] }
    expect(look.after(1, well)).toEqual(["ended certificate-ends web", "ended disk-low n1"])
    look.unissued({ "shop.example": "no such host" })
    look.after(1)
    look.another()
    expect(look.after(150)).toEqual(["ended certificate-ends web"])
  })

  test("tells what the one before could not write, which told nobody", () => {
    const look = new Look()
    down(look, "n1", 10)
    look.writes = false
    expect(look.after(5)).toEqual([])
    look.writes = true
    look.another()
    expect(look.after(1)).toEqual(["firing node-down n1"])
  })

  test("has each alert once, also where it was written again because nobody heard how that ended", () => {
    const look = new Look()
    down(look, "n1", 10)
    look.hears = false
    expect(look.after(3)).toEqual([])
    look.hears = true
    expect(look.after(1)).toEqual(["firing node-down n1"])
    expect(look.book.tables.cluster()?.Alerts).toHaveLength(1)
  })

  test("tells again what the ledger has no room for; one entry takes two hundred", () => {
    const look = new Look()
    for (let n = 0; n < 1_100; n++) down(look, `n${n}`, 0)
    const told = Array.from({ length: 20 }, () => look.after(1))
    expect(Math.max(...told.map((each) => each.length))).toBe(200)
    expect(new Set(told.flat()).size).toBe(1_100)
    expect(told.flat()).toHaveLength(1_100)
    expect(look.book.tables.cluster()?.Alerts).toHaveLength(1_000)
    look.another()
    expect(look.after(20)).toHaveLength(100)
  })

  test("lets stand what a later release told of", () => {
    const look = new Look()
    const alert = {
      condition: "of-tomorrow",
      kind: "node",
      id: "n1",
      name: "n1",
      says: "it is",
      since: begin
    }
    look.book.must({ type: "cluster.alerts", v: 1, firing: [alert], ended: [] })
    look.another()
    expect(look.after(10)).toEqual([])
    expect(look.book.tables.cluster()?.Alerts).toEqual([alert])
  })

  test("tells again while a manager of an earlier release does not know the entry", () => {
    const look = new Look(levelOf["cluster.alerts"] - 1)
    down(look, "n1", 10)
    expect(look.after(1)).toEqual(["firing node-down n1"])
    expect(look.book.tables.cluster()).not.toHaveProperty("Alerts")
    look.another()
    expect(look.after(1)).toEqual(["firing node-down n1"])
  })
})

test("services are looked at in turn where their tasks are too many for one second", () => {
  const look = new Look()
  for (const id of ["a", "b", "c"]) {
    look.service(id, 1)
    look.book.tasks(id, 1_500, { DesiredState: "shutdown" })
  }
  const told = look.after(40)
  expect([...told].sort()).toEqual([
    "firing service-short a",
    "firing service-short b",
    "firing service-short c"
  ])
})

const perform = alerts.perform as (action: AlertsAction) => Effect.Effect<unknown, never, Ledger>

test("when certificates that hosts are shown by end is read from their secrets, and of no other", async () => {
  const { data, certificate } = await siteCertificate(["shop"])
  const book = new Book().cluster()
  for (const [ID, Data] of [
    ["cert", data],
    ["unused", data],
    ["text", "s3cr3t=="]
  ] as const)
    book.must({ type: "secret.create", v: 1, secret: { ID, Spec: { Name: ID, Data } } })
  for (const secret of ["cert", "text"])
    book.service(secret, { Labels: { "troupe.http.host": secret, "troupe.http.tls": secret } })
  const gathered = await Effect.runPromise(
    perform({ _tag: "Gather" }).pipe(Effect.provideService(Ledger, { read: book.tables } as never))
  )
  const ends = Date.parse(new X509Certificate(certificate).validTo)
  expect(gathered).toMatchObject({
    facts: { certificateEnds: { cert: ends, text: Number.POSITIVE_INFINITY } }
  })
  expect(gathered).not.toMatchObject({ facts: { certificateEnds: { unused: ends } } })
})

let posted: Array<unknown> = []
let refusals = 1
let onRefusal = (): void => {}
const server = createServer(async (request, response) => {
  const body = await text(request)
  const isRefused = refusals-- > 0
  if (isRefused) response.writeHead(503)
  else posted.push(JSON.parse(body))
  response.end()
  if (isRefused) onRefusal()
})
beforeAll(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)))
afterAll(() => void server.close())

const isDown: Notice = {
  condition: "node-down",
  kind: "node",
  id: "n1",
  name: "alpha",
  says: "node alpha is down",
  since: begin,
  state: "firing",
  at: begin + 5_000
}

/** Tells of them; yields what was published. */
async function tell(notices: ReadonlyArray<Notice>): Promise<ReadonlyArray<Notice>> {
  const published: Array<Notice> = []
  const action: AlertsAction = {
    _tag: "Notify",
    notices,
    webhook: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  }
  const world = { publish: (one: Notice) => void published.push(one), history: undefined }
  await Effect.runPromise(
    perform(action).pipe(
      Effect.provideService(AlertSurroundings, world),
      Effect.provideService(Ledger, undefined as never)
    )
  )
  return published
}

test("notices are published, and posted to the webhook until it takes them", async () => {
  expect(await tell([isDown])).toEqual([isDown])
  expect(posted).toMatchObject([
    { state: "firing", condition: "node-down", name: "alpha", since: toIso(begin) }
  ])
})

test("what is over by the time that the webhook takes notices is not posted after that it ended, nor what waits behind it", async () => {
  posted = []
  refusals = 1
  const isBack = { ...isDown, state: "ended" } as const
  const [other, otherIsBack] = [
    { ...isDown, id: "n2" },
    { ...isBack, id: "n2" }
  ]
  const last = { ...isDown, id: "n3" }
  const refused = new Promise<void>((resolve) => {
    onRefusal = resolve
  })
  const firing = tell([isDown, other, last])
  await refused
  await tell([isBack, otherIsBack])
  await firing
  expect(posted).toMatchObject([
    { state: "ended", id: "n1" },
    { state: "ended", id: "n2" },
    { state: "firing", id: "n3" }
  ])
  // It may come again.
  await tell([isDown])
  expect(posted).toHaveLength(4)
})
