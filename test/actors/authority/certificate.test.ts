import { describe, expect, test } from "bun:test"
import { type Certificate, decide, renewalOf, start } from "#actors/authority/certificate/decide.ts"
import type {
  CertificateAction,
  CertificateFacts,
  CertificateMessage
} from "#actors/authority/certificate/protocol.ts"
import { isSameAddress } from "#actors/network/ip.ts"
import type { CommonAction } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"

const day = 86_400_000
const facts: CertificateFacts = {
  role: "worker",
  addresses: ["127.0.0.1"],
  issuedAt: 0,
  notAfter: 90 * day,
  issuer: { subject: "swarm-ca", publicKey: "k1" },
  root: "root 1"
}
const renewal: CertificateAction = { _tag: "Renew", addr: "10.0.0.5" }
type Action = CertificateAction | CommonAction

/** A certificate's actor whose clock and timer a test moves. */
class Keeper {
  now = 0
  readonly fresh: Fresh
  readonly told: Array<unknown> = []
  state: Certificate
  asked: Array<CertificateAction> = []
  lookAfterMs = 0

  constructor(seed = 1) {
    this.fresh = Fresh.from(seed)
    this.state = undefined as never
    this.#follow(start({ addr: "10.0.0.5" }, this.#moment()))
  }

  #moment() {
    return { now: this.now, fresh: this.fresh, self: address("n1", "certificate", "main") }
  }

  #follow({ state, actions }: ReturnType<typeof decide>): void {
    this.state = state
    this.asked = []
    for (const action of actions as ReadonlyArray<Action>) {
      if (action._tag === "Tell") this.told.push(action.message)
      else if (action._tag === "Later") this.lookAfterMs = action.afterMs
      else this.asked.push(action as CertificateAction)
    }
  }

  say(message: CertificateMessage): this {
    this.#follow(decide(this.state, message, this.#moment()))
    return this
  }

  /** Lets the timer fire until something is asked for; when that is, in milliseconds. */
  waitUntilAsked(): number {
    while (this.asked.length === 0) {
      this.now += this.lookAfterMs
      this.say({ _tag: "LookAgain" })
    }
    return this.now
  }
}

test("CA-12 a certificate is renewed at a random point of 50 to 80 % of its life, whatever that is", () => {
  for (const life of [60_000, 3_600_000, 90 * day, 3650 * day]) {
    const points = Array.from({ length: 200 }, (_, seed) => {
      const keeper = new Keeper(seed + 1).say({ _tag: "Holds", facts: { ...facts, notAfter: life } })
      return keeper.waitUntilAsked() / life
    })
    expect(Math.min(...points)).toBeGreaterThanOrEqual(0.5)
    expect(Math.max(...points)).toBeLessThan(0.8 + 1 / life)
    // They spread: nodes that joined together do not come back together.
    expect(Math.max(...points) - Math.min(...points)).toBeGreaterThan(0.2)
  }
})

test("the timer never waits longer than timers can, and a clock that was set is seen within half a day", () => {
  const keeper = new Keeper().say({ _tag: "Holds", facts })
  expect(keeper.lookAfterMs).toBeLessThanOrEqual(day / 2)
  keeper.now = 89 * day
  expect(keeper.say({ _tag: "LookAgain" }).asked).toEqual([renewal])
})

test("CA-08 a renewal that nobody answers is asked for again, ever later, and never too late", () => {
  const keeper = new Keeper().say({ _tag: "Holds", facts })
  keeper.waitUntilAsked()
  const pauses: Array<number> = []
  while (keeper.now < facts.notAfter) {
    const before = keeper.now
    keeper.say({ _tag: "NotRenewed", reason: "nobody leads" })
    pauses.push(keeper.waitUntilAsked() - before)
    if (pauses.length > 10_000) break
  }
  expect(pauses[0]).toBeLessThanOrEqual(1_000)
  expect(Math.max(...pauses)).toBeLessThanOrEqual(600_000)
  expect(Math.max(...pauses)).toBeGreaterThan(60_000)
  // Close to its end it is in a hurry again.
  expect(pauses.at(-1)).toBeLessThanOrEqual(1_000)
  keeper.say({ _tag: "Holds", facts: { ...facts, issuedAt: keeper.now, notAfter: keeper.now + 90 * day } })
  expect(keeper.state).toMatchObject({ attempt: 0, problem: undefined })
})

test("CA-12 it is renewed at once when the leader wants another issuer, once", () => {
  const keeper = new Keeper().say({ _tag: "Holds", facts })
  expect(keeper.say({ _tag: "Wanted", issuer: "k1" }).asked).toEqual([])
  expect(keeper.say({ _tag: "Wanted", issuer: "k2" }).asked).toEqual([renewal])
  expect(keeper.say({ _tag: "Wanted", issuer: "k2" }).asked).toEqual([])
  const renewed = { ...facts, issuedAt: 1, issuer: { subject: "swarm-ca", publicKey: "k2" } }
  expect(keeper.say({ _tag: "Holds", facts: renewed }).asked).toEqual([])
  // The leader has not heard of it yet.
  expect(keeper.say({ _tag: "Wanted", issuer: "k2" }).asked).toEqual([])
})

test("what failed is tried again by its own clock, however often the leader wants it", () => {
  const keeper = new Keeper().say({ _tag: "Holds", facts }).say({ _tag: "Wanted", issuer: "k2" })
  keeper.say({ _tag: "NotRenewed", reason: "no" })
  for (let beat = 0; beat < 5; beat++) expect(keeper.say({ _tag: "Wanted", issuer: "k2" }).asked).toEqual([])
  expect(keeper.lookAfterMs).toBeLessThanOrEqual(1_000)
  keeper.waitUntilAsked()
  expect(keeper.asked).toEqual([renewal])
})

test("another root is looked at, and the session hears what the node holds", () => {
  const keeper = new Keeper().say({ _tag: "Holds", facts })
  expect(keeper.told).toEqual([
    {
      _tag: "Certified",
      info: { TrustRoot: "root 1", CertIssuerSubject: "swarm-ca", CertIssuerPublicKey: "k1" }
    }
  ])
  expect(keeper.say({ _tag: "Wanted", root: "root 1" }).asked).toEqual([])
  expect(keeper.say({ _tag: "Wanted", root: "root 2" }).asked).toEqual([{ _tag: "Trust", root: "root 2" }])
  keeper.say({ _tag: "Holds", facts: { ...facts, root: "root 2" } })
  expect(keeper.told.at(-1)).toMatchObject({ info: { TrustRoot: "root 2" } })
  expect(keeper.say({ _tag: "Introduce" }).told).toHaveLength(3)
})

test("trusting another root does not put off the renewal", () => {
  const keeper = new Keeper().say({ _tag: "Holds", facts })
  const { dueAt } = keeper.state
  expect(dueAt).toBe(renewalOf(facts, Fresh.from(1).fraction()))
  keeper.now = 40 * day
  expect(keeper.say({ _tag: "Holds", facts: { ...facts, root: "root 2" } }).state.dueAt).toBe(dueAt)
})

describe("RF-15 a manager that is reached at another address than its certificate names", () => {
  const before: CertificateFacts = { ...facts, role: "manager", addresses: ["10.0.0.4", "127.0.0.1"] }
  const after: CertificateFacts = { ...before, issuedAt: 1, addresses: ["10.0.0.5", "127.0.0.1"] }

  test("asks for another one at once, and once", () => {
    const keeper = new Keeper().say({ _tag: "Holds", facts: before })
    expect(keeper.asked).toEqual([renewal])
    expect(keeper.told).toHaveLength(1)
    keeper.say({ _tag: "Holds", facts: after })
    expect(keeper.asked).toEqual([])
    expect(keeper.state).toMatchObject({ busy: false, attempt: 0, problem: undefined })
  })

  test("asks ever later where a leader of an earlier release gives the same again", () => {
    const keeper = new Keeper().say({ _tag: "Holds", facts: before })
    const pauses: Array<number> = []
    for (let times = 0; times < 8; times++) {
      keeper.say({ _tag: "Holds", facts: { ...before, issuedAt: times + 1 } })
      expect(keeper.asked).toEqual([])
      expect(keeper.state.problem).toBe("it does not name 10.0.0.5")
      const from = keeper.now
      pauses.push(keeper.waitUntilAsked() - from)
    }
    expect(pauses[0]).toBeLessThanOrEqual(1_000)
    expect(pauses.at(-1)).toBeGreaterThan(20_000)
  })

  test("takes an address for the same however it is written; a worker is reached by nobody", () => {
    expect(isSameAddress("FD00:0:0:0:0:0:0:2", "fd00::2")).toBe(true)
    expect(isSameAddress("10.0.0.5", "10.0.0.4")).toBe(false)
    expect(isSameAddress("", "")).toBe(false)
    expect(new Keeper().say({ _tag: "Holds", facts: { ...before, role: "worker" } }).asked).toEqual([])
  })
})
