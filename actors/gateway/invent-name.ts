/** A name for a service that came without one. */
import type { Fresh } from "#runtime/ids.ts"

const qualities = [
  "able",
  "amber",
  "bold",
  "brisk",
  "calm",
  "clear",
  "deft",
  "eager",
  "fond",
  "gentle",
  "glad",
  "keen",
  "kind",
  "light",
  "lucid",
  "merry",
  "neat",
  "noble",
  "patient",
  "quick",
  "quiet",
  "sharp",
  "steady",
  "warm"
] as const
const surnames = [
  "armstrong",
  "babbage",
  "boole",
  "curie",
  "dijkstra",
  "easley",
  "erlang",
  "faraday",
  "gauss",
  "hamilton",
  "hewitt",
  "hopper",
  "lamport",
  "lovelace",
  "mccarthy",
  "meitner",
  "noether",
  "perlman",
  "raman",
  "shannon",
  "turing",
  "virding",
  "wing",
  "yalow"
] as const

const pick = <T>(fresh: Fresh, from: ReadonlyArray<T>): T => from[fresh.below(from.length)] as T

/** `patient_lovelace`; with a digit behind it where that name is taken already. */
export function inventName(fresh: Fresh, isTaken: (name: string) => boolean): string {
  for (let tries = 0; tries < 8; tries++) {
    const name = `${pick(fresh, qualities)}_${pick(fresh, surnames)}${tries === 0 ? "" : fresh.below(10)}`
    if (!isTaken(name)) return name
  }
  return `${pick(fresh, qualities)}_${pick(fresh, surnames)}_${fresh.id().slice(0, 8)}`
}
