import { expect, test } from "bun:test"
import { newUnlockKey, openWith, parseUnlockKey, sealWith } from "#actors/authority/lock.ts"
import { type Held, heldText } from "#actors/authority/store.ts"

test("an unlock key has Swarm's form and 32 bytes of its own", () => {
  const [one, two] = [newUnlockKey(), newUnlockKey()]
  expect(one).toMatch(/^SWMKEY-1-[A-Za-z0-9+/]{43}$/)
  expect(one).not.toBe(two)
  expect(parseUnlockKey(one)).toHaveLength(32)
  for (const text of ["", "SWMKEY-1-", `${one}=`, `${one}A`, one.replace("SWMKEY", "SWMTKN")])
    expect(parseUnlockKey(text)).toBeUndefined()
})

test("what is sealed opens with its key and with no other, whole or not at all", () => {
  const key = newUnlockKey()
  const sealed = sealWith(key, "a secret of several words")
  expect(sealed).not.toBe(sealWith(key, "a secret of several words"))
  expect(openWith(key, sealed)).toBe("a secret of several words")
  expect(openWith(newUnlockKey(), sealed)).toBeUndefined()
  expect(openWith("nonsense", sealed)).toBeUndefined()
  const spoiled = `${sealed.slice(0, -6)}${sealed.slice(-6) === "AAAAAA" ? "BBBBBB" : "AAAAAA"}`
  expect(openWith(key, spoiled)).toBeUndefined()
  expect(openWith(key, "AAAA")).toBeUndefined()
})

test("CA-18 the private key of a locked manager is never written in the clear, and no unlock key is written at all", () => {
  const keys = [newUnlockKey(), newUnlockKey()]
  const held = { key: "PRIVATE", membership: { role: "manager" }, lock: keys } as unknown as Held
  const text = heldText(held)
  for (const secret of ["PRIVATE", ...keys]) expect(text).not.toContain(secret)
  const { key, sealedKeys } = JSON.parse(text)
  expect(key).toBe("")
  expect(keys.map((one, at) => openWith(one, sealedKeys[at]))).toEqual(["PRIVATE", "PRIVATE"])
  expect(heldText({ ...held, lock: [] })).toContain("PRIVATE")
  const worker = { ...held, membership: { ...held.membership, role: "worker" as const } }
  expect(heldText(worker)).toContain("PRIVATE")
})
