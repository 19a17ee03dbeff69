import { describe, expect, test } from "bun:test"
import {
  batchSize,
  decide,
  graceMs,
  type Keymaster,
  patienceMs,
  start
} from "#actors/authority/keymaster/decide.ts"
import type { KeymasterAction, KeymasterMessage } from "#actors/authority/keymaster/protocol.ts"
import { featureLevel, levelOf } from "#actors/ledger/features.ts"
import { keyChangeLabel, keyPeriodLabel } from "#actors/model/network-keys.ts"
import type { Node } from "#actors/model/objects.ts"
import type { Authority, Roots } from "#actors/model/trust.ts"
import type { CommonAction } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"
import { Book } from "#test/support/ledger.ts"
import { someRoots } from "#test/support/trust.ts"

const next: Authority = { certificate: "next root", key: "k2" }
const description = (issuer: string | undefined): Partial<Node> => ({
  Description: {
    Hostname: "n",
    Platform: {},
    Resources: { NanoCPUs: 1, MemoryBytes: 1 },
    Engine: { EngineVersion: "1" },
    ...(issuer !== undefined && {
      TLSInfo: { TrustRoot: "r", CertIssuerSubject: "s", CertIssuerPublicKey: issuer }
    })
  }
})
const place = { ManagerStatus: { Reachability: "reachable", Addr: "10.0.0.1:2377" } } as const

/** The keymaster of a ledger whose clock a test moves. */
class Desk {
  readonly book: Book
  now = 1_000_000
  state: Keymaster
  told: Array<string> = []
  asked: Array<KeymasterAction> = []

  constructor(roots: Partial<Roots> = {}, level = featureLevel) {
    this.book = new Book().cluster({ Roots: { ...someRoots, ...roots }, FeatureLevel: level })
    this.state = start({ ledger: this.book.tables }, this.#moment()).state
    this.book.must({ type: "node.remove", v: 1, id: this.#founder(), force: true })
  }

  /** A cluster's first node is a manager in its spec only; those of a test stand for themselves. */
  #founder(): string {
    const node = this.book.tables.get("node", "manager")
    if (node === undefined) throw new Error("it is there")
    const version = node.Version.Index
    this.book.node("m0", { ...place, Spec: { Role: "manager" }, ...description("new") })
    this.book.node("m9", { ...place, Spec: { Role: "manager" }, ...description("new") })
    this.book.must({ type: "node.update", v: 1, id: "manager", version, spec: { Role: "worker" } })
    return "manager"
  }

  #moment() {
    return { now: this.now, fresh: Fresh.from(1), self: address("leader", "keymaster", "main") }
  }

  say(message: KeymasterMessage): this {
    const { state, actions } = decide(this.state, message, this.#moment())
    this.state = state
    this.told = []
    this.asked = []
    for (const action of actions as ReadonlyArray<KeymasterAction | CommonAction>) {
      if (action._tag === "Tell") this.told.push(action.to.id)
      else if (action._tag !== "Later") this.asked.push(action as KeymasterAction)
    }
    return this
  }

  /** One look, while nodes should have certificates of the issuer `new`. */
  look(afterMs = 1_000): this {
    this.now += afterMs
    return this.say({ _tag: "Looked", issuer: "new" })
  }

  written(): this {
    return this.say({ _tag: "Proposed", why: "", outcome: { _tag: "Applied", applied: { index: 1 } } })
  }
}

const held = { routes: { number: 1, holders: ["m0", "m9"] } }

test("CA-13 workers renew a batch at a time, and the next ones as those have done so", () => {
  const desk = new Desk({ ...held, rotation: next })
  const id = (at: number): string => `w${String(at).padStart(3, "0")}`
  for (let at = 0; at < 100; at++) desk.book.node(id(at), description("old"))
  const first = desk.look().told
  expect(first).toHaveLength(batchSize)
  expect(desk.look().told).toEqual([])
  for (const done of first.slice(0, 5)) desk.book.node(done, description("new"))
  const second = desk.look().told
  expect(second).toHaveLength(5)
  expect(second.some((one) => first.includes(one))).toBe(false)
  expect(desk.asked).toEqual([])
})

test("CA-13 managers renew one after the other", () => {
  const desk = new Desk({ ...held, rotation: next })
  for (const id of ["m0", "m9"]) desk.book.node(id, { ...place, ...description("old") })
  expect(desk.look().told).toEqual(["m0"])
  expect(desk.look().told).toEqual([])
  desk.book.node("m0", { ...place, ...description("new") })
  expect(desk.look().told).toEqual(["m9"])
})

test("who does not renew makes room for the others, and is told again", () => {
  const desk = new Desk({ ...held, rotation: next })
  for (let at = 0; at <= batchSize; at++) desk.book.node(`w${at + 10}`, description("old"))
  const first = desk.look().told
  const second = desk.look(patienceMs).told
  // The one that has waited longest comes first.
  expect(second[0]).toBe(`w${batchSize + 10}`)
  expect(second).toHaveLength(batchSize)
  expect(first).toEqual(expect.arrayContaining(second.slice(1)))
})

test("CA-13 the old root is dropped once every node has a certificate of the new one, and not before", () => {
  const desk = new Desk({ ...held, rotation: next }).look()
  expect(desk.asked).toEqual([{ _tag: "Conclude", certificate: "next root" }])
  const waiting = new Desk({ ...held, rotation: next })
  waiting.book.node("w1", description("old"))
  expect(waiting.look().asked).toEqual([])
  waiting.book.node("w1", description("new"))
  expect(waiting.look().asked).toHaveLength(1)
  // One word of it is enough.
  expect(waiting.look().asked).toEqual([])
})

test("CA-14 a node that is down, or has never said what it has, is waited for until it is removed", () => {
  for (const more of [
    { ...description("old"), Status: { State: "down" } as const },
    description(undefined)
  ]) {
    const desk = new Desk({ ...held, rotation: next })
    desk.book.node("w1", more)
    for (let look = 0; look < 5; look++) expect([...desk.look().told, ...desk.asked]).toEqual([])
    desk.book.must({ type: "node.remove", v: 1, id: "w1", force: true })
    expect(desk.look().asked).toHaveLength(1)
  }
})

test("CA-15 a new leader goes on from what the ledger says", () => {
  const desk = new Desk({ ...held, rotation: next })
  desk.book.node("w1", description("old"))
  expect(desk.look().told).toEqual(["w1"])
  desk.state = start(
    { ledger: desk.book.tables },
    {
      now: desk.now,
      fresh: Fresh.from(2),
      self: address("leader", "keymaster", "main")
    }
  ).state
  expect(desk.look().told).toEqual(["w1"])
})

test("nothing is written that an older manager does not understand", () => {
  const desk = new Desk({ rotation: next }, levelOf["cluster.rotate"] - 1)
  expect(desk.look().asked).toEqual([])
})

test("a manager is written down as one that knows the routes' password, which stays", () => {
  const desk = new Desk().look()
  expect(desk.asked).toMatchObject([
    {
      _tag: "Propose",
      commands: [
        { type: "cluster.routes", number: 1, password: someRoots.routePassword, holders: ["m0", "m9"] }
      ]
    }
  ])
})

test("the routes' password changes when somebody knows it who is no manager, after a moment to leave in order", () => {
  const desk = new Desk({ routes: { number: 4, holders: ["gone", "m0", "m9"] } })
  expect(desk.look().asked).toEqual([])
  expect(desk.look(graceMs - 1).asked).toEqual([])
  expect(desk.look(1).asked).toEqual([{ _tag: "ChangePassword", number: 5, holders: ["m0", "m9"] }])
  expect(desk.look().asked).toEqual([])
  desk.book.must({ type: "cluster.routes", v: 1, number: 5, password: "p5", holders: ["m0", "m9"] })
  expect(desk.written().look().asked).toEqual([])
})

test("who is a manager again before that keeps the password", () => {
  const desk = new Desk({ routes: { number: 1, holders: ["m0", "m5", "m9"] } }).look()
  desk.book.node("m5", { ...place, ...description("new") })
  expect(desk.look(graceMs).asked).toEqual([])
})

describe("keys for encrypted networks", () => {
  const hour = 3_600_000
  const Options = { encrypted: "" }
  const able = (...epochs: ReadonlyArray<number>) => ({
    Description: {
      ...description("new").Description,
      WireGuard: { Keys: epochs.map((Epoch) => ({ Epoch, PublicKey: "k", Port: 51820 })) }
    } as NonNullable<Node["Description"]>
  })
  /** A cluster with an encrypted network, whose workers have keys of these epochs. */
  const keyed = (...workers: ReadonlyArray<ReturnType<typeof able>>): Desk => {
    const desk = new Desk(held)
    desk.now = desk.book.time
    desk.book.network("safe", "safe", { Options })
    workers.forEach((worker, at) => void desk.book.node(`w${at}`, worker))
    return desk
  }
  const change = (epoch: number, asked?: string) => [
    { _tag: "Propose", commands: [{ type: "cluster.keys", epoch, ...(asked !== undefined && { asked }) }] }
  ]
  const label = (desk: Desk, Labels: Record<string, string>): void => {
    const version = desk.book.tables.cluster()?.Version.Index ?? 0
    desk.book.must({ type: "cluster.update", v: 1, version, spec: { Labels } })
  }

  test("are followed by others in time, as long as a label says, else after twelve hours", () => {
    const desk = keyed(able(1))
    expect(desk.look(11 * hour).asked).toEqual([])
    expect(desk.look(hour).asked).toMatchObject(change(2))
    const often = keyed(able(1))
    label(often, { [keyPeriodLabel]: "1h" })
    expect(often.look(hour - 1).asked).toEqual([])
    expect(often.look(1).asked).toMatchObject(change(2))
  })

  test("are followed by others when somebody asks, once", () => {
    const desk = keyed(able(1))
    label(desk, { [keyChangeLabel]: "please" })
    expect(desk.look().asked).toMatchObject(change(2, "please"))
    desk.book.must({ type: "cluster.keys", v: 1, epoch: 2, asked: "please" })
    desk.book.node("w0", able(2))
    expect(desk.written().look().asked).toEqual([])
    label(desk, { [keyChangeLabel]: "again" })
    expect(desk.look().asked).toMatchObject(change(3, "again"))
  })

  test("stay while a node that is there has none of them yet: it would be reached no more", () => {
    const desk = keyed(able(1), able(0))
    expect(desk.look(24 * hour).asked).toEqual([])
    desk.book.node("w1", { ...able(0), Status: { State: "down" } })
    expect(desk.look().asked).toMatchObject(change(2))
  })

  test("stay where no network is encrypted, and where a manager would not understand it", () => {
    const plain = new Desk(held)
    plain.now = plain.book.time
    expect(plain.look(24 * hour).asked).toEqual([])
    const old = new Desk(held, levelOf["cluster.keys"] - 1)
    old.now = old.book.time
    old.book.network("safe", "safe", { Options })
    expect(old.look(24 * hour).asked).toEqual([])
  })

  test("follow each other in the ledger one by one", () => {
    const { book } = keyed(able(1))
    expect(book.write({ type: "cluster.keys", v: 1, epoch: 3 })).toMatchObject({
      _tag: "Refused",
      refusal: {
        message:
          "rpc error: code = FailedPrecondition desc = keys of networks are of epoch 1, which 3 does not follow"
      }
    })
    book.must({ type: "cluster.keys", v: 1, epoch: 2, asked: "once" })
    book.time += hour
    book.must({ type: "cluster.keys", v: 1, epoch: 3 })
    const Since = new Date(book.time).toISOString()
    expect(book.tables.cluster()?.NetworkKeys).toEqual({ Epoch: 3, Since, Asked: "once" })
  })
})
