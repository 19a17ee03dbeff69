/**
 * Join tokens in Swarm's form: `SWMTKN-1-<digest, 50 characters>-<secret, 25 characters>`, all of base 36. A second form,
 * `SWMTKN-2-<0 or 1>-…`, says whether every node of the cluster must compute by FIPS 140.
 *
 * The digest is of the cluster's root certificate, so that a joining node can tell the right cluster before it says
 * the secret: https://github.com/moby/swarmkit/blob/master/ca/config.go
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto"

export interface JoinToken {
  readonly digest: string
  readonly secret: string
  /** Whether who is not FIPS-enabled may not join; no build of Troupe is. */
  readonly fips: boolean
}

/** 256 bits and 128 bits in base 36. */
const digestLength = 50
const secretLength = 25
const form = /^SWMTKN-(?:1|2-([01]))-([0-9a-z]{50})-([0-9a-z]{25})$/

const asBase36 = (bytes: Uint8Array, characters: number): string =>
  bytes
    .reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
    .toString(36)
    .padStart(characters, "0")
    .slice(-characters)

/** What a token says of a root certificate, given in PEM. */
export const digestOf = (rootPem: string): string =>
  asBase36(createHash("sha256").update(rootPem).digest(), digestLength)

export const newJoinToken = (rootPem: string): string =>
  `SWMTKN-1-${digestOf(rootPem)}-${asBase36(randomBytes(16), secretLength)}`

/** The parts of a token, or `undefined` when it has not their form. */
export function parseJoinToken(text: string): JoinToken | undefined {
  const [, fips, digest, secret] = form.exec(text) ?? []
  return digest === undefined || secret === undefined ? undefined : { digest, secret, fips: fips === "1" }
}

/** Compares two tokens in a time that tells nothing of where they differ. */
export function isSameToken(left: string, right: string): boolean {
  const [a, b] = [left, right].map((text) => createHash("sha256").update(text).digest()) as [Buffer, Buffer]
  return timingSafeEqual(a, b)
}
