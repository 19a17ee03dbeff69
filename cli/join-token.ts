/** Join tokens in Swarm's form: `SWMTKN-1-<digest, 50 characters>-<secret, 25 characters>`, all of base 36. */
import { createHash, randomBytes } from "node:crypto"

const asBase36 = (bytes: Uint8Array, characters: number): string =>
  bytes
    .reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
    .toString(36)
    .padStart(characters, "0")
    .slice(-characters)

/** `rootOfTrust` is what a joining node will check the cluster by; until there are certificates, the cluster's id. */
export function newJoinToken(rootOfTrust: string): string {
  const digest = asBase36(createHash("sha256").update(rootOfTrust).digest(), 50)
  return `SWMTKN-1-${digest}-${asBase36(randomBytes(16), 25)}`
}
