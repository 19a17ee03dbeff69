/** Messages in parts: cut, mixed up, doubled, lost, and put together again. */
import { describe, expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import fc from "fast-check"
import { largestMessage, partHeader, Reassembly, split, type Taken } from "#runtime/chunks.ts"
import { Fresh } from "#runtime/ids.ts"

const bytesOf = (length: number, seed = 1): Uint8Array => {
  const fresh = Fresh.from(seed)
  return Uint8Array.from({ length }, () => fresh.below(256))
}
const headers = { "troupe-id": "m1" }
const cut = (body: Uint8Array, limit = 2_000) => split("s-1", headers, body, limit, 40)
const whole = (taken: ReadonlyArray<Taken>) => taken.filter((each) => each._tag === "Whole")

describe("a message in parts", () => {
  test("arrives whole and once, in whatever order its parts come and however often", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40_000 }), fc.integer(), (length, seed) => {
        const body = bytesOf(length, seed)
        const fresh = Fresh.from(seed)
        const parts = [...cut(body), ...cut(body)].sort(() => fresh.fraction() - 0.5)
        const reassembly = new Reassembly()
        const taken = parts.map((part) => reassembly.take("x", part.headers, part.body, 0))
        const [found] = whole(taken)
        expect(whole(taken).length).toBe(1)
        expect(found).toMatchObject({ headers })
        if (found?._tag === "Whole") expect(Buffer.compare(found.body, body)).toBe(0)
        expect(taken.some((each) => each._tag === "Lost")).toBe(false)
        expect(reassembly.heldBytes).toBe(0)
      }),
      { numRuns: 50 }
    )
  })

  test("no part is larger than the limit, header lines counted", () => {
    for (const part of cut(bytesOf(10_000))) {
      const lines = Object.entries(part.headers).reduce(
        (sum, [name, value]) => sum + name.length + value.length + 4,
        0
      )
      expect(part.body.length + lines).toBeLessThanOrEqual(2_000)
    }
  })

  test("the same message at two subscriptions is two messages", () => {
    const reassembly = new Reassembly()
    const taken = cut(bytesOf(5_000)).flatMap((part) =>
      ["a", "b"].map((scope) => reassembly.take(scope, part.headers, part.body, 0))
    )
    expect(whole(taken).length).toBe(2)
  })

  test("K8: a lost part gives the message up after a while, and frees its memory", () => {
    const reassembly = new Reassembly({ maxBytes: 1e6, patienceMs: 100 })
    for (const part of cut(bytesOf(9_000)).slice(1)) reassembly.take("x", part.headers, part.body, 5)
    expect(reassembly.nextExpiry).toBe(105)
    expect(reassembly.expire(104)).toBe(0)
    expect(reassembly.heldBytes).toBeGreaterThan(0)
    expect(reassembly.expire(105)).toBe(1)
    expect(reassembly.heldBytes).toBe(0)
    expect(reassembly.nextExpiry).toBeUndefined()
    const [late] = cut(bytesOf(9_000))
    expect(late && reassembly.take("x", late.headers, late.body, 106)).toEqual({ _tag: "Waiting" })
  })

  test("K8: what is unfinished never holds more than its share: the oldest goes", () => {
    const reassembly = new Reassembly({ maxBytes: 20_000, patienceMs: 100 })
    let lost = 0
    for (let message = 0; message < 50; message++) {
      for (const part of split(`m${message}`, {}, bytesOf(9_000), 2_000, 0).slice(1)) {
        if (reassembly.take("x", part.headers, part.body, 0)._tag === "Lost") lost++
        expect(reassembly.heldBytes).toBeLessThanOrEqual(20_000)
      }
    }
    expect(lost).toBeGreaterThan(40)
  })

  test("a changed byte, parts of different messages and nonsense are lost by name", () => {
    const take = (name: string, body = bytesOf(600)): Taken =>
      new Reassembly().take("x", { [partHeader]: name }, body, 0)
    expect(take("m 0 1 600 0")).toMatchObject({ _tag: "Lost", why: "its parts do not make up what was sent" })
    for (const name of ["", "m", "m 1 1 600 0", "m 0 0 0 0", "m 0 99999 600 0", "m -1 2 600 0"]) {
      expect(take(name)).toMatchObject({ _tag: "Lost", why: "a part that does not say of what" })
    }
    const tooMuch = take(`m 0 20000 ${largestMessage + 1} 0`)
    expect(tooMuch).toMatchObject({ _tag: "Lost" })
    const reassembly = new Reassembly()
    expect(reassembly.take("x", { [partHeader]: "m 0 2 1200 a" }, bytesOf(600), 0)._tag).toBe("Waiting")
    expect(reassembly.take("x", { [partHeader]: "m 1 2 1200 b" }, bytesOf(600), 0)).toMatchObject({
      why: "its parts are of different messages"
    })
    expect(reassembly.heldBytes).toBe(0)
  })
})
