/** A sealed file gives back what was sealed, all of it, or says what is wrong and gives nothing that was changed. */

import { describe, expect, setDefaultTimeout, test } from "bun:test"
import { Buffer } from "node:buffer"
import { crc32 } from "node:zlib"
import { RecoveryError } from "#actors/recovery/errors.ts"
import { newSeal, openSeal, type ReadAt, sealed, unsealed } from "#actors/recovery/sealed-file.ts"
import { Fresh } from "#runtime/ids.ts"

setDefaultTimeout(60_000)

const kib = 1024
const passphrase = "correct horse battery"
const seal = await newSeal(passphrase)

const fileOf = (...chunks: ReadonlyArray<Uint8Array>): Buffer => Buffer.concat([...sealed(seal, chunks)])
const reading =
  (file: Uint8Array): ReadAt =>
  (offset, length) =>
    file.subarray(offset, offset + length)
const plainOf = (file: Uint8Array): Buffer => Buffer.concat([...unsealed(seal, reading(file))])
const bytes = (length: number): Buffer =>
  Buffer.from(Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff))

/** Why it is refused; `opened` when it is not. */
async function refusal(file: Uint8Array, words = passphrase): Promise<string> {
  try {
    const opened = await openSeal(reading(file), words)
    for (const _ of unsealed(opened, reading(file)));
    return "opened"
  } catch (error) {
    if (error instanceof RecoveryError) return error.message
    throw error
  }
}

/** As `refusal`, without the tenths of a second that a passphrase takes: the head is as it was. */
function damageOf(file: Uint8Array): string {
  try {
    for (const _ of unsealed(seal, reading(file)));
    return "opened"
  } catch (error) {
    if (error instanceof RecoveryError) return error.message
    throw error
  }
}

test("whatever was sealed comes back, however it was cut into chunks", () => {
  for (const length of [0, 1, 64 * kib - 1, 64 * kib, 64 * kib + 1, 128 * kib, 300_000]) {
    const whole = bytes(length)
    expect(plainOf(fileOf(whole)).equals(whole)).toBe(true)
    const cuts = [0, 1, 1, Math.floor(length / 3), Math.floor(length / 2), length].sort((a, b) => a - b)
    const chunks = cuts.slice(1).map((to, i) => whole.subarray(cuts[i], to))
    expect(plainOf(fileOf(...chunks)).equals(whole)).toBe(true)
  }
})

test("the passphrase opens it, another one is said to be wrong", async () => {
  const file = fileOf(bytes(100))
  expect(await refusal(file)).toBe("opened")
  expect(await refusal(file, "correct horse batterz")).toBe("the passphrase is wrong")
})

test("two files with one passphrase share neither salt nor bytes", async () => {
  const other = await newSeal(passphrase)
  const [one, two] = [fileOf(bytes(100)), Buffer.concat([...sealed(other, [bytes(100)])])]
  expect(one.subarray(12, 64).equals(two.subarray(12, 64))).toBe(false)
  expect(one.subarray(64).equals(two.subarray(64))).toBe(false)
})

test("what was sealed cannot be read in the file", () => {
  expect(fileOf(Buffer.from("canary ".repeat(1_000))).includes("canary")).toBe(false)
})

describe("a file of several blocks", () => {
  const file = fileOf(bytes(150 * kib))

  test("cut off anywhere is refused as cut off, also between two blocks", async () => {
    const block = 4 + 64 * kib + 16
    for (const at of [8, 63]) expect(await refusal(file.subarray(0, at))).toMatch(/^it is cut off/)
    const cuts = [64, 66, 68, 100, 64 + block, 64 + 2 * block, 64 + 2 * block + 4, file.length - 1]
    for (const at of cuts) expect(damageOf(file.subarray(0, at))).toMatch(/^it is cut off/)
    expect(await refusal(file.subarray(0, 7))).toBe("it is not a backup")
    expect(await refusal(new Uint8Array(0))).toBe("it is not a backup")
  })

  test("with any bit of its head changed is refused", async () => {
    for (let bit = 0; bit < 64 * 8; bit++) {
      const spoilt = Buffer.from(file)
      spoilt[bit >> 3] = (spoilt[bit >> 3] as number) ^ (1 << (bit & 7))
      expect(await refusal(spoilt)).toMatch(/^(it is not a backup|its head is damaged)$/)
    }
  })

  test("with a bit changed anywhere after it is refused, and nothing of that block is given", () => {
    const fresh = Fresh.from(17)
    const opened = reading(file)
    for (let round = 0; round < 300; round++) {
      const spoilt = Buffer.from(file)
      const bit = 64 * 8 + fresh.below((file.length - 64) * 8)
      spoilt[bit >> 3] = (spoilt[bit >> 3] as number) ^ (1 << (bit & 7))
      const given: Array<Uint8Array> = []
      expect(() => {
        for (const block of unsealed(seal, reading(spoilt))) given.push(block)
      }).toThrow(/^it is (damaged|cut off)/)
      const before = Buffer.concat(given)
      expect(before.equals(Buffer.concat([...unsealed(seal, opened)]).subarray(0, before.length))).toBe(true)
    }
  })

  test("with blocks swapped, left out or said twice is refused", () => {
    const block = 4 + 64 * kib + 16
    const [head, one, two, rest] = [
      file.subarray(0, 64),
      file.subarray(64, 64 + block),
      file.subarray(64 + block, 64 + 2 * block),
      file.subarray(64 + 2 * block)
    ]
    for (const parts of [
      [head, two, one, rest],
      [head, one, rest],
      [head, one, one, two, rest],
      [head, one, two, rest, rest]
    ]) {
      expect(damageOf(Buffer.concat(parts))).toMatch(/^it is damaged at byte/)
    }
  })

  test("with a block of another file under the same passphrase is refused", async () => {
    const other = Buffer.concat([...sealed(await newSeal(passphrase), [bytes(150 * kib)])])
    const mixed = Buffer.concat([file.subarray(0, 64), other.subarray(64)])
    expect(damageOf(mixed)).toBe("it is damaged at byte 64")
  })
})

test("a head that was changed with its checksum put right opens nothing", async () => {
  const changed = fileOf(bytes(100))
  // Where nothing is kept so far: neither key nor nonce hangs on it.
  changed[54] = 1
  changed.writeUInt32LE(crc32(changed.subarray(0, 60)), 60)
  expect(await refusal(changed)).toBe("it is damaged at byte 64")
})

test("a file that would take all memory to open is refused before it does", async () => {
  const greedy = fileOf(bytes(10))
  greedy[9] = 31
  greedy.writeUInt32LE(crc32(greedy.subarray(0, 60)), 60)
  expect(await refusal(greedy)).toBe("it asks for more memory than any backup needs")
})
