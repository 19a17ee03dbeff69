/** The laws of the inbox, for hundreds of seeded histories and each way of being full. */
import { describe, expect, test } from "bun:test"
import type { Overflow } from "#runtime/actor.ts"
import { Fresh } from "#runtime/ids.ts"
import { type Letter, Mailbox } from "#runtime/mailbox.ts"

interface Said {
  readonly number: number
  readonly key?: string
}

const letter = (message: Said, own?: true): Letter => ({ message, at: message.number, ...(own && { own }) })
const said = (taken: Letter | undefined): number | undefined => (taken?.message as Said | undefined)?.number
const latest: Overflow = { latest: (message: never) => (message as Said).key }

/** What an inbox must do, written down as slowly and plainly as possible. */
class Model {
  waiting: Letter[] = []
  readonly capacity: number
  readonly overflow: Overflow

  constructor(capacity: number, overflow: Overflow) {
    this.capacity = capacity
    this.overflow = overflow
  }

  offer(offered: Letter): "taken" | "full" | { lost: number } {
    const message = offered.message as Said
    if (offered.own) {
      this.waiting.push(offered)
      return "taken"
    }
    if (typeof this.overflow === "object" && message.key !== undefined) {
      const place = this.waiting.findIndex(
        (other) => !other.own && (other.message as Said).key === message.key
      )
      if (place >= 0) {
        const lost = said(this.waiting[place]) as number
        this.waiting[place] = offered
        return { lost }
      }
    }
    if (this.waiting.length < this.capacity) {
      this.waiting.push(offered)
      return "taken"
    }
    if (this.overflow !== "drop-oldest") return "full"
    const oldest = this.waiting.findIndex((other) => !other.own)
    if (oldest < 0) return "full"
    const lost = said(this.waiting[oldest]) as number
    this.waiting.splice(oldest, 1)
    this.waiting.push(offered)
    return { lost }
  }
}

const policies: ReadonlyArray<readonly [string, Overflow]> = [
  ["refuse", "refuse"],
  ["drop-oldest", "drop-oldest"],
  ["latest per key", latest]
]

describe("a mailbox", () => {
  for (const [name, overflow] of policies) {
    test(`that overflows by ${name} does what the model does, for 300 seeds`, () => {
      for (let seed = 0; seed < 300; seed++) {
        const chance = Fresh.from(seed)
        const capacity = 1 + chance.below(12)
        const mailbox = new Mailbox({ capacity, overflow })
        const model = new Model(capacity, overflow)
        for (let number = 0; number < 120; number++) {
          if (chance.below(3) === 0) {
            expect(said(mailbox.take())).toBe(said(model.waiting.shift()))
          } else {
            const key = chance.below(2) === 0 ? `k${chance.below(4)}` : undefined
            const offered = letter({ number, ...(key && { key }) }, chance.below(6) === 0 ? true : undefined)
            const offer = mailbox.offer(offered)
            const outcome =
              offer._tag === "Full" ? "full" : offer.lost ? { lost: said(offer.lost) as number } : "taken"
            expect(outcome).toEqual(model.offer(offered))
          }
          expect(mailbox.depth).toBe(model.waiting.length)
          expect(mailbox.oldestAt).toBe(model.waiting[0]?.at)
          expect(mailbox.waiting().map(said)).toEqual(model.waiting.map(said))
        }
        expect(mailbox.drain().map(said)).toEqual(model.waiting.map(said))
        expect(mailbox.depth).toBe(0)
      }
    })
  }

  test("never refuses the actor's own timers and results, however full it is", () => {
    for (const [, overflow] of policies) {
      const mailbox = new Mailbox({ capacity: 1, overflow })
      mailbox.offer(letter({ number: 0 }))
      for (let number = 1; number < 50; number++) {
        expect(mailbox.offer(letter({ number }, true))).toEqual({ _tag: "Taken" })
      }
      expect(mailbox.depth).toBe(50)
    }
  })

  test("drops as quickly and takes no more room, however much it has dropped since anything was taken", () => {
    const rows = [
      [10_000, undefined],
      [100, true]
    ] as const
    for (const [capacity, own] of rows) {
      const mailbox = new Mailbox({ capacity, overflow: "drop-oldest" })
      mailbox.offer(letter({ number: -1 }, own))
      for (let number = 0; number < 300_000; number++) mailbox.offer(letter({ number }))
      expect(said(mailbox.take())).toBe(own ? -1 : 300_000 - capacity)
      expect(mailbox.depth).toBe(capacity - 1)
      expect(mailbox.drain().map(said).at(-1)).toBe(299_999)
    }
  })

  test("says how much it holds when it refuses", () => {
    const mailbox = new Mailbox({ capacity: 2 })
    mailbox.offer(letter({ number: 1 }))
    mailbox.offer(letter({ number: 2 }))
    expect(mailbox.offer(letter({ number: 3 }))).toEqual({ _tag: "Full", capacity: 2 })
  })

  test("keeps the supervisor's lane apart from messages", () => {
    const mailbox = new Mailbox({ capacity: 1 })
    mailbox.offer(letter({ number: 1 }))
    mailbox.offerSys(letter({ number: 2 }))
    expect(mailbox.depth).toBe(2)
    expect(said(mailbox.takeSys())).toBe(2)
    expect(said(mailbox.take())).toBe(1)
  })
})
