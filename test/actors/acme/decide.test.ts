/** When certificates by ACME are asked for, kept and replaced, and what is said of those that do not come. */
import { expect, test } from "bun:test"
import { createPrivateKey } from "node:crypto"
import { type AcmeAccount, readAccount } from "#actors/acme/account.ts"
import { acme } from "#actors/acme/actor.ts"
import { decide, start } from "#actors/acme/decide.ts"
import { newAccount, thumbprintOf } from "#actors/acme/new-account.ts"
import type { AcmeAction, AcmeMessage, Ordered } from "#actors/acme/protocol.ts"
import type { AlertsMessage } from "#actors/alerts/protocol.ts"
import { featureLevel } from "#actors/ledger/features.ts"
import { acmeHostLabel, acmeThumbprintLabel, certificates, routeShown } from "#actors/network/certificates.ts"
import type { CommonAction } from "#runtime/actions.ts"
import { Fresh } from "#runtime/ids.ts"
import { Book } from "#test/support/ledger.ts"

const second = 1_000
const minute = 60 * second
const day = 24 * 60 * minute

/** A leader's ACME actor over a ledger that writes at once, and a server that answers when it is told to. */
class Site {
  readonly book = new Book()
  now = Date.parse("2026-11-27T12:00:00Z")
  /** Hosts whose orders are under way. */
  readonly ordered: Array<string> = []
  alerted: Readonly<Record<string, string>> = {}
  /** How proposals end; applied unless told. */
  refuses = false
  #state: ReturnType<typeof start>["state"]
  readonly #fresh = Fresh.from(5)

  constructor() {
    this.book.time = this.now
    this.book.cluster({ FeatureLevel: featureLevel })
    this.#state = start({ ledger: this.book.tables }, this.#moment()).state
  }

  #moment() {
    return { now: this.now, fresh: this.#fresh, self: { home: "leader", kind: "acme", id: "main" } }
  }

  tell(message: AcmeMessage): this {
    const step = decide(this.#state, message, this.#moment())
    this.#state = step.state
    for (const action of step.actions) this.#perform(action)
    return this
  }

  #perform(action: AcmeAction | CommonAction): void {
    if (action._tag === "Order") this.ordered.push(action.host)
    if (action._tag === "Tell")
      this.alerted = (action.message as Extract<AlertsMessage, { _tag: "Unissued" }>).problems
    if (action._tag !== "Propose") return
    this.book.time = Math.max(this.book.time, this.now)
    if (!this.refuses) for (const command of action.commands) this.book.must(command)
    const outcome = this.refuses
      ? ({ _tag: "Unknown", message: "no answer" } as const)
      : ({ _tag: "Applied", applied: { index: 1 } } as const)
    this.tell({ _tag: "Proposed", why: action.why, outcome })
  }

  account(directory = "https://acme.example/dir"): void {
    const known = this.book.tables.byName("secret", "acme-account")
    if (known !== undefined) this.book.must({ type: "secret.remove", v: 1, id: known.ID })
    const Spec = newAccount({ directory })
    this.book.must({ type: "secret.create", v: 1, secret: { ID: this.#fresh.id(), Spec } })
  }

  service(id: string, host: string): void {
    this.book.service(id, {
      Labels: { "troupe.http.host": host, "troupe.http.tls": "acme", "troupe.http.path": `/${id}` }
    })
  }

  /** So much time, in looks of a second. */
  wait(ms: number): this {
    for (const end = this.now + ms; this.now < end; ) {
      this.now += second
      this.tell({ _tag: "LookAgain" })
    }
    return this
  }

  /** Far ahead, without looking on the way. */
  leap(ms: number): this {
    this.now += ms
    return this.tell({ _tag: "LookAgain" })
  }

  answer(host: string, ordered: Ordered): this {
    this.ordered.splice(this.ordered.indexOf(host), 1)
    return this.tell({ _tag: "Ordered", host, ordered })
  }

  issue(host: string, days = 90): this {
    const data = Buffer.from(`${host} ${this.now}`).toString("base64")
    return this.answer(host, { data, validFrom: this.now, validTo: this.now + days * day })
  }

  held(host: string): ReadonlyArray<string> {
    return this.book.tables
      .view(certificates)
      .issuedFor(host)
      .map(({ Spec }) => Buffer.from(Spec.Data ?? "", "base64").toString())
  }
}

test("nobody is asked without an account, nor for hosts that nobody wants one for", () => {
  const site = new Site()
  site.service("web", "shop.example")
  site.book.service("plain", { Labels: { "troupe.http.host": "plain.example" } })
  site.wait(10 * second)
  expect(site.ordered).toEqual([])
  site.account()
  site.wait(10 * second)
  expect(site.ordered).toEqual(["shop.example"])
})

test("services that share a host share one certificate, which is renewed when a third of its time is left", () => {
  const site = new Site()
  site.account()
  site.service("a", "shop.example")
  site.service("b", "shop.example")
  site.wait(10 * second)
  expect(site.ordered).toEqual(["shop.example"])
  site.issue("shop.example")
  const [first = ""] = site.held("shop.example")
  site.wait(10 * second).leap(59 * day)
  expect(site.ordered).toEqual([])
  site.leap(day)
  expect(site.ordered).toEqual(["shop.example"])
  site.issue("shop.example")
  // Entrances have the new one by the time that the old one goes.
  expect(site.held("shop.example").length).toBe(2)
  site.wait(2 * second)
  expect(site.held("shop.example").length).toBe(1)
  expect(site.held("shop.example")).not.toEqual([first])
})

test("what fails is tried again, five times in the first hour, and the alerts are told until it comes", () => {
  const site = new Site()
  site.account()
  site.service("web", "shop.example")
  let tries = 0
  for (const end = site.now + 60 * minute; site.now < end; site.wait(second)) {
    if (site.ordered.length === 0) continue
    tries += 1
    site.answer("shop.example", { problem: "no such host" })
  }
  expect(tries).toBe(5)
  expect(site.alerted).toEqual({ "shop.example": "no such host" })
  site.leap(day)
  site.issue("shop.example").wait(second)
  expect(site.alerted).toEqual({})
  expect(site.held("shop.example").length).toBe(1)
})

test("another account is tried at once", () => {
  const site = new Site()
  site.account()
  site.service("web", "shop.example")
  site.wait(5 * second).answer("shop.example", { problem: "no" })
  site.wait(20 * second)
  expect(site.ordered).toEqual([])
  site.account("https://other.example/dir")
  site.wait(5 * second)
  expect(site.ordered).toEqual(["shop.example"])
})

test("a few are asked for at a time, and the others after them", () => {
  const site = new Site()
  site.account()
  for (let at = 0; at < 9; at++) site.service(`s${at}`, `s${at}.example`)
  site.wait(5 * second)
  expect(site.ordered.length).toBe(4)
  site.issue("s0.example").wait(second)
  expect(site.ordered).toContain("s4.example")
})

test("a certificate that could not be written yet is not asked for again, and not lost", () => {
  const site = new Site()
  site.account()
  site.service("web", "shop.example")
  site.wait(5 * second)
  site.refuses = true
  site.issue("shop.example").wait(5 * second)
  expect([site.ordered, site.held("shop.example")]).toEqual([[], []])
  site.refuses = false
  site.wait(5 * second)
  expect(site.held("shop.example").length).toBe(1)
  site.wait(5 * second)
  expect(site.held("shop.example").length).toBe(1)
})

test("the certificate of a host that nobody wants any more is kept until it ends", () => {
  const site = new Site()
  site.account()
  site.service("web", "shop.example")
  site.wait(5 * second).issue("shop.example")
  site.book.must({ type: "service.remove", v: 1, id: "web" })
  site.leap(89 * day)
  expect(site.held("shop.example").length).toBe(1)
  site.leap(2 * day)
  expect(site.held("shop.example")).toEqual([])
  expect(site.ordered).toEqual([])
})

test("one that could not be renewed is shown beyond its end, and the new one as soon as it is there", () => {
  const site = new Site()
  site.account()
  site.service("web", "shop.example")
  site.wait(5 * second).issue("shop.example")
  const shown = () => {
    const { Spec } = site.book.tables.get("service", "web") ?? { Spec: {} }
    return routeShown(site.book.tables, Spec)?.tls?.secret
  }
  const first = shown()
  site.leap(89 * day).answer("shop.example", { problem: "no such host" })
  site.leap(2 * day)
  expect(shown()).toBe(first ?? "")
  site.issue("shop.example")
  expect(site.held("shop.example").length).toBe(2)
  expect(shown()).not.toBe(first ?? "")
})

test("entrances are told whose account a host is for, and lead to TLS once it has a certificate", () => {
  const site = new Site()
  site.service("web", "shop.example")
  const shown = () => {
    const { Spec } = site.book.tables.get("service", "web") ?? { Spec: {} }
    return routeShown(site.book.tables, Spec)
  }
  const plain = { host: "shop.example", path: "/web/", port: 80, protocol: "http1" } as const
  expect(shown()).toEqual(plain)
  site.account()
  const thumbprint =
    site.book.tables.byName("secret", "acme-account")?.Spec.Labels?.[acmeThumbprintLabel] ?? ""
  expect(shown()).toEqual({ ...plain, thumbprint })
  site.wait(5 * second).issue("shop.example")
  const [secret] = site.book.tables.view(certificates).issuedFor("shop.example")
  expect(secret?.Spec.Labels?.[acmeHostLabel]).toBe("shop.example")
  expect(shown()).toEqual({ ...plain, thumbprint, tls: { secret: secret?.Spec.Name ?? "", redirect: true } })
})

test("an account that is about to take another one's place concerns entrances as that one does", () => {
  const site = new Site()
  site.service("web", "shop.example")
  const touchedBy = (Name: string) => {
    const ID = `secret-${Name}`
    site.book.must({
      type: "secret.create",
      v: 1,
      secret: { ID, Spec: { ...newAccount({ directory: "" }), Name } }
    })
    const secret = site.book.tables.get("secret", ID)
    return secret && site.book.tables.view(certificates).servicesTouchedBy(secret)
  }
  expect(["acme-account", "acme-account-successor", "other"].map(touchedBy)).toEqual([["web"], ["web"], []])
})

test("nothing is recorded of a certificate that comes, nor of where it is kept until it is written", () => {
  expect(
    acme.secrets?.({ _tag: "Ordered", host: "a", ordered: { data: "", validFrom: 0, validTo: 0 } })
  ).toBe(true)
  expect(acme.secrets?.({ _tag: "Proposed", why: "", outcome: { _tag: "NotLeader" } })).toBe(false)
})

test("an account's thumbprint is RFC 7638's, and its secret is read as it was made", () => {
  const { Data = "", Labels } = newAccount({ directory: "https://acme.example/dir", email: "a@b" })
  const account = readAccount(Data) as AcmeAccount
  expect(account).toMatchObject({ directory: "https://acme.example/dir", email: "a@b" })
  expect(Labels?.[acmeThumbprintLabel]).toBe(thumbprintOf(account.key))
  expect(readAccount("e30=")).toBeUndefined()
  // The example of RFC 7515, A.3, whose members in their order were hashed by hand.
  const jwk = {
    kty: "EC",
    crv: "P-256",
    x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    d: "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
  }
  const key = createPrivateKey({ key: jwk, format: "jwk" }).export({ type: "pkcs8", format: "pem" })
  expect(thumbprintOf(`${key}`)).toBe("oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U")
})
