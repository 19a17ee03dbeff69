import { expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { crc32 } from "node:zlib"
import { Machine } from "#actors/ledger/machine.ts"
import { Packer, Unpacker } from "#actors/ledger/pack.ts"
import { Fresh } from "#runtime/ids.ts"
import { Book } from "#test/support/ledger.ts"
import { live, loud } from "#test/support/ledger-life.ts"

const written = (machine: Machine): Buffer => Buffer.concat([...machine.snapshot()])

/** A state of its own, which a bad snapshot must leave as it is. */
function standing(): { readonly machine: Machine; readonly digest: string } {
  const { machine } = live(9, 40)
  return { machine, digest: machine.digest() }
}

test("I5 a snapshot that is torn anywhere is refused, and what was there stays", () => {
  const bytes = written(live(2, 120).machine)
  const { machine, digest } = standing()
  const chance = Fresh.from(1)
  const ends = [
    0,
    1,
    7,
    8,
    12,
    16,
    bytes.length - 1,
    ...Array.from({ length: 200 }, () => chance.below(bytes.length))
  ]
  for (const end of ends) {
    expect(() => machine.restore([bytes.subarray(0, end)])).toThrow(/not a snapshot|torn/)
    expect(machine.digest()).toBe(digest)
  }
})

test("I5 a snapshot with any byte changed is refused, and what was there stays", () => {
  const bytes = written(live(2, 120).machine)
  const { machine, digest } = standing()
  const chance = Fresh.from(2)
  const places = [
    ...Array.from({ length: 24 }, (_, at) => at),
    ...Array.from({ length: 300 }, () => chance.below(bytes.length))
  ]
  for (const at of places) {
    const damaged = Buffer.from(bytes)
    damaged[at] = (damaged[at] ?? 0) ^ (1 << chance.below(8))
    expect(() => machine.restore([damaged])).toThrow()
    expect(machine.digest()).toBe(digest)
  }
})

/** Each of 100 tasks. */
function withServices(count: number): Machine {
  const machine = new Machine(loud)
  const book = new Book().cluster()
  for (let at = 0; at < count; at++) {
    book.service(`s${at}`)
    book.tasks(`s${at}`, 100)
  }
  machine.tables = book.tables
  return machine
}

test("I1: a snapshot is taken and restored a block at a time, and no block is large, however large the state is", () => {
  const machine = withServices(60)
  const sizes: Array<number> = []
  const blocks: Array<Uint8Array> = []
  for (const block of machine.snapshot()) {
    sizes.push(block.length)
    blocks.push(block)
  }
  expect(Math.max(...sizes)).toBeLessThan(128 * 1024)
  expect(sizes.length).toBeGreaterThan(20)
  const other = standing()
  let steps = 0
  for (const _ of other.machine.restoreInSteps(blocks)) {
    steps++
    expect(other.machine.digest()).toBe(other.digest)
  }
  // The first chunk is the mark.
  expect(steps).toBe(blocks.length - 1)
  expect(other.machine.digest()).toBe(machine.digest())
})

test("a snapshot with something after its end, or with a block missing or twice, is refused", () => {
  const machine = withServices(40)
  const [mark, ...blocks] = [...machine.snapshot()] as [Uint8Array, ...Array<Uint8Array>]
  const other = standing()
  expect(blocks.length).toBeGreaterThan(1)
  const refused = (...chunks: ReadonlyArray<Uint8Array>): void => {
    expect(() => other.machine.restore(chunks)).toThrow()
    expect(other.machine.digest()).toBe(other.digest)
  }
  refused(mark, ...blocks, new Uint8Array(1))
  refused(mark, ...blocks.slice(1))
  refused(mark, ...blocks.slice(0, -1))
  refused(mark, blocks[0] as Uint8Array, ...blocks)
  other.machine.restore([mark, ...blocks])
  expect(other.machine.digest()).toBe(machine.digest())
})

/** A whole snapshot of one block with these records. */
function snapshotOf(records: ReadonlyArray<readonly [number, unknown]>): Buffer {
  const packer = new Packer()
  for (const [kind, value] of records) {
    packer.byte(kind)
    packer.value(value)
  }
  const head = Buffer.alloc(8)
  head.writeUInt32LE(packer.length, 0)
  head.writeUInt32LE(crc32(packer.bytes), 4)
  return Buffer.concat([written(new Machine(loud)).subarray(0, 8), head, packer.bytes])
}

test("a record of a kind that this release does not know is refused by its number", () => {
  const records: Array<readonly [number, unknown]> = [
    [1, { index: 1, time: 1 }],
    [77, { of: "a newer release" }]
  ]
  expect(() => new Machine(loud).restore([snapshotOf(records)])).toThrow("kind 77")
})

test("a snapshot whose objects are not those that were written is refused by its digest", () => {
  const { machine } = live(2, 120)
  const records: Array<readonly [number, unknown]> = []
  for (const chunk of [...machine.snapshot()].slice(1)) {
    const block = new Unpacker(chunk.subarray(8))
    // As format 2 has them: each task by itself, in the place of the block of all of them.
    if (chunk[8] === 14) for (const task of machine.tables.all("task")) records.push([10, task])
    else while (!block.done) records.push([block.byte(), block.value()])
  }
  expect(() => new Machine(loud).restore([snapshotOf(records)])).not.toThrow()
  const forged = records.map(
    ([kind, value]) => [kind, kind === 10 ? { ...(value as object), Slot: 99 } : value] as const
  )
  expect(() => new Machine(loud).restore([snapshotOf(forged)])).toThrow("digest")
  const less = records.filter(([kind]) => kind !== 10)
  expect(() => new Machine(loud).restore([snapshotOf(less)])).toThrow("objects")
})

test("whatever JSON can say is packed and comes back as it was", () => {
  for (let seed = 1; seed <= 25; seed++) {
    const chance = Fresh.from(seed)
    const values = Array.from({ length: 40 }, () => anything(chance, 3))
    const packer = new Packer()
    for (const _ of [1, 2]) {
      packer.begin()
      for (const value of values) packer.value(value)
    }
    const block = new Unpacker(packer.bytes)
    const back = values.map(() => block.value())
    expect(block.done).toBe(true)
    expect(back.map((value) => JSON.stringify(value))).toEqual(values.map((value) => JSON.stringify(value)))
  }
})

function anything(chance: Fresh, depth: number): unknown {
  const one = <A>(choices: ReadonlyArray<A>): A => choices[chance.below(choices.length)] as A
  const text = (): string =>
    one([
      "",
      "a",
      "ä€😀",
      "\ud800",
      "x".repeat(64),
      "x".repeat(65),
      "ü".repeat(64),
      "y".repeat(7_000),
      "__proto__",
      "toString",
      chance.id()
    ])
  switch (chance.below(depth === 0 ? 5 : 8)) {
    case 0:
      return one([0, 1, 127, 128, 2 ** 31 - 1, 2 ** 31, -1, 2 ** 53 - 1, -(2 ** 53), 0.1, 1e300, 5e-324])
    case 1:
      return one([true, false, null])
    case 2:
    case 3:
    case 4:
      return text()
    case 5:
      return Array.from({ length: chance.below(5) }, () => anything(chance, depth - 1))
    default:
      // As the parser makes it: "__proto__" is a key like any other.
      return JSON.parse(
        `{${Array.from({ length: chance.below(5) }, () => `${JSON.stringify(text())}:${JSON.stringify(anything(chance, depth - 1))}`).join()}}`
      )
  }
}

test("a block that was tampered with beyond its checksum ends in an error, never in a hang", () => {
  const packer = new Packer()
  packer.value([
    { a: 1, b: ["x", "x", 0.5] },
    { a: 2, b: ["é", null, true] }
  ])
  for (let seed = 1; seed <= 1000; seed++) {
    const chance = Fresh.from(seed)
    const bytes = Buffer.from(packer.bytes)
    bytes[chance.below(bytes.length)] = chance.below(256)
    try {
      const block = new Unpacker(bytes)
      while (!block.done) block.value()
    } catch (error) {
      expect((error as Error).message).toContain("malformed")
    }
  }
})
