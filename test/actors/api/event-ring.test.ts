import { expect, test } from "bun:test"
import { EventRing } from "#actors/api/event-ring.ts"
import type { ClusterEvent, Sequence } from "#actors/api/events.ts"

const event = (sequence: Sequence, previous: Sequence): ClusterEvent => ({
  sequence,
  previous,
  time: "",
  resource: "task",
  action: "update",
  id: `${sequence.index}.${sequence.position}`,
  version: 1,
  object: {}
})

/** Entries 11 to `last`, each with `of` events. */
function filled(capacity: number, last: number, of = 2): EventRing {
  const ring = new EventRing(capacity, 10)
  for (let index = 11; index <= last; index++) {
    for (let position = 1; position <= of; position++) {
      ring.add(event({ index, position, of }, ring.newest))
    }
  }
  return ring
}

const idsAfter = (ring: EventRing, place: Sequence, limit = 100): ReadonlyArray<string> | "lost" => {
  const caught = ring.after(place, limit)
  return caught._tag === "Lost" ? "lost" : caught.events.map(({ id }) => id)
}

test("what came after a place is given oldest first, also when the place is amid an entry", () => {
  const ring = filled(10, 13)
  expect(idsAfter(ring, { index: 12, position: 1, of: 2 })).toEqual(["12.2", "13.1", "13.2"])
  expect(idsAfter(ring, { index: 13, position: 2, of: 2 })).toEqual([])
  expect(ring.after({ index: 11, position: 1, of: 2 }, 2)).toMatchObject({ more: true })
})

test("a ring begins after a whole entry: who knows that entry whole has missed nothing", () => {
  const ring = filled(10, 11)
  expect(idsAfter(ring, { index: 10, position: 3, of: 3 })).toEqual(["11.1", "11.2"])
  expect(idsAfter(ring, { index: 10, position: 0, of: 0 })).toEqual(["11.1", "11.2"])
  expect(idsAfter(ring, { index: 10, position: 2, of: 3 })).toBe("lost")
  expect(idsAfter(ring, { index: 9, position: 1, of: 1 })).toBe("lost")
})

test("who is further behind than the ring is told so, and never given a stream with a hole", () => {
  const ring = filled(5, 30)
  // 28.2 to 30.2 are kept.
  expect(idsAfter(ring, { index: 28, position: 1, of: 2 })).toEqual(["28.2", "29.1", "29.2", "30.1", "30.2"])
  expect(idsAfter(ring, { index: 27, position: 2, of: 2 })).toBe("lost")
})

test("for every place, what is given continues it without a gap", () => {
  for (let capacity = 1; capacity <= 7; capacity++) {
    const ring = filled(capacity, 16, 3)
    for (let index = 10; index <= 16; index++) {
      for (let position = 1; position <= 3; position++) {
        const place = { index, position, of: 3 }
        const caught = ring.after(place, 100)
        if (caught._tag === "Lost") continue
        let last: Sequence = place
        for (const { previous, sequence } of caught.events) {
          const began = previous.of === 0 && last.index === previous.index && last.position === last.of
          expect(began || (previous.index === last.index && previous.position === last.position)).toBe(true)
          last = sequence
        }
        if (caught.events.length > 0) expect(last).toEqual(ring.newest)
      }
    }
  }
})
