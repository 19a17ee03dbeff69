import { expect, test } from "bun:test"
import { Recent } from "#actors/ledger/recent.ts"
import { Fresh } from "#runtime/ids.ts"

const applied = (index: number) => ({ _tag: "Applied", applied: { index } }) as const

test("G5 a result is given again while it is kept, and after that the answer is TooOld, never a second time New", () => {
  const recent = new Recent()
  for (let seq = 1; seq <= 3000; seq++) {
    expect(recent.look("n1", "b", seq)._tag).toBe("New")
    recent.keep("n1", "b", seq, applied(seq))
    expect(recent.look("n1", "b", seq)).toEqual({ _tag: "Repeated", result: applied(seq) })
  }
  for (let seq = 1; seq <= 3000; seq++) {
    expect([seq, recent.look("n1", "b", seq)._tag]).toEqual([seq, seq <= 3000 - 1024 ? "TooOld" : "Repeated"])
  }
})

test("G5 proposals out of order, in any order, are never applied twice", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const chance = Fresh.from(seed)
    const recent = new Recent()
    const done = new Set<string>()
    for (let step = 0; step < 4000; step++) {
      // A window that moves on, with stragglers and repeats, and now and then a restart.
      const boot = `b${Math.floor(step / 1500) - (chance.below(10) === 0 ? 1 : 0)}`
      const seq = Math.max(1, step - chance.below(chance.below(5) === 0 ? 3000 : 50))
      const seen = recent.look("n1", boot, seq)
      if (seen._tag !== "New") continue
      expect(done.has(`${boot} ${seq}`)).toBe(false)
      done.add(`${boot} ${seq}`)
      recent.keep("n1", boot, seq, applied(step))
    }
  }
})

test("G5 what an ended boot left on its way is too old once the next one was heard", () => {
  const recent = new Recent()
  recent.keep("n1", "first", 1, applied(1))
  recent.keep("n1", "second", 1, applied(2))
  expect(recent.look("n1", "first", 1)._tag).toBe("TooOld")
  expect(recent.look("n1", "first", 2)._tag).toBe("TooOld")
  expect(recent.look("n1", "second", 1)._tag).toBe("Repeated")
  const restored = new Recent()
  restored.load(JSON.parse(JSON.stringify(recent.save())))
  expect(restored.look("n1", "first", 2)._tag).toBe("TooOld")
  expect(restored.digest()).toBe(recent.digest())
})

test("G5 the window is bounded: by results, by boots and by proposers, those heard least lately go first", () => {
  const recent = new Recent()
  for (let at = 0; at < 200; at++) {
    recent.keep("steady", "b", at, applied(at))
    for (let boot = 0; boot < 20; boot++) recent.keep(`n${at}`, `b${boot}`, 1, applied(at))
  }
  const saved = recent.save()
  expect(saved.length).toBe(64)
  expect(Math.max(...saved.map(({ retired }) => retired?.length ?? 0))).toBe(8)
  expect(recent.look("steady", "b", 150)._tag).toBe("Repeated")
  expect(saved.map(({ proposer }) => proposer)).not.toContain("n10")
})

test("a window that was saved and loaded goes on as the one that was not, with the same digest", () => {
  const chance = Fresh.from(4)
  const recent = new Recent()
  let other = new Recent()
  for (let step = 0; step < 6000; step++) {
    const proposer = `n${chance.below(70)}`
    const boot = `b${chance.below(3)}`
    const seq = step >> 3
    expect(other.look(proposer, boot, seq)).toEqual(recent.look(proposer, boot, seq))
    if (recent.look(proposer, boot, seq)._tag !== "New") continue
    recent.keep(proposer, boot, seq, applied(step))
    other.keep(proposer, boot, seq, applied(step))
    if (step % 500 === 0) {
      const loaded = new Recent()
      loaded.load(other.save())
      other = loaded
    }
    expect(other.digest()).toBe(recent.digest())
  }
})
