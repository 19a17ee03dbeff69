import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { Keys } from "#actors/drivers/wireguard/keys.ts"

const folder = mkdtempSync(join(tmpdir(), "troupe-wg-"))
const path = join(folder, "wireguard", "keys.json")
afterAll(() => rmSync(folder, { recursive: true }))

const make = (keys: Keys, epoch?: number): Promise<void> => Effect.runPromise(keys.make(epoch))
const epochs = (keys: Keys): ReadonlyArray<number> => keys.all.map(({ Epoch }) => Epoch)

test("a node's keys are made once, kept for its owner alone, and two at most: the newest and the one before", async () => {
  const keys = new Keys(path)
  expect(keys.all).toEqual([])
  await Promise.all([make(keys), make(keys, 1)])
  const [first] = keys.all
  expect(Buffer.from(first?.PublicKey ?? "", "base64")).toHaveLength(32)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  await make(keys, 2)
  expect(keys.all[1]).toEqual(first as NonNullable<typeof first>)
  expect(keys.all[0]?.PublicKey).not.toBe(first?.PublicKey as string)
  expect(keys.all[0]?.Port).not.toBe(first?.Port as number)
  await make(keys, 3)
  expect(epochs(keys)).toEqual([3, 2])
  // One that begins again goes on with them, also where no epoch is known yet.
  const again = new Keys(path)
  await make(again)
  expect(again.all).toEqual(keys.all)
  // Who was away for long has keys of other parity, too.
  await make(again, 5)
  expect(epochs(again)).toEqual([5, 2])
  writeFileSync(path, "{")
  expect(new Keys(path).all).toEqual([])
})
