/**
 * The key that people keep of a cluster whose managers lock themselves, and what it seals beside the log: the private
 * key of a manager's certificate. Swarm's form: `SWMKEY-1-` and 32 bytes in base64 without padding.
 */
import { Buffer } from "node:buffer"
import { randomBytes } from "node:crypto"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"

const keyBytes = 32
const nonceBytes = 12
const prefix = "SWMKEY-1-"
const form = /^SWMKEY-1-([A-Za-z0-9+/]{43})$/

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")

export const newUnlockKey = (): string => `${prefix}${textOf(randomBytes(keyBytes)).replace(/=+$/, "")}`

/** Its 32 bytes; `undefined` when the text is none. */
export function parseUnlockKey(text: string): Uint8Array | undefined {
  const [, body] = form.exec(text) ?? []
  return body === undefined ? undefined : new Uint8Array(Buffer.from(body, "base64"))
}

const purpose = "troupe manager key 1"
const sealingKey = (unlockKey: Uint8Array): Uint8Array =>
  nodeCipher.deriveKey(unlockKey, new Uint8Array(0), purpose)
const bound = new TextEncoder().encode(purpose)

/** `secret` for the disk; base64. Throws where the key is none, which only a damaged ledger could hold. */
export function sealWith(unlockKey: string, secret: string): string {
  const key = parseUnlockKey(unlockKey)
  if (key === undefined) throw new Error("the unlock key is damaged")
  const nonce = nodeCipher.random(nonceBytes)
  return textOf(Buffer.concat([nonce, nodeCipher.seal(sealingKey(key), nonce, bound, Buffer.from(secret))]))
}

/** What was sealed with this key; `undefined` when it was another one. */
export function openWith(unlockKey: string, sealed: string): string | undefined {
  const key = parseUnlockKey(unlockKey)
  const bytes = new Uint8Array(Buffer.from(sealed, "base64"))
  if (key === undefined || bytes.length < nonceBytes) return undefined
  const opened = nodeCipher.open(
    sealingKey(key),
    bytes.subarray(0, nonceBytes),
    bound,
    bytes.subarray(nonceBytes)
  )
  return opened && Buffer.from(opened).toString()
}
