/** Beliefs, written down one per line; they stay on in production. Input is parsed, never asserted. */

export class BrokenInvariant extends Error {
  override readonly name = "BrokenInvariant"
}

/** Throws `BrokenInvariant` when a belief of ours is false. */
export function assert(belief: boolean, saying: string): asserts belief {
  if (!belief) throw new BrokenInvariant(`Broken invariant: ${saying}`)
}

/** For the branch that no member of a union reaches. */
export function never(value: never): never {
  throw new BrokenInvariant(`Broken invariant: nobody handles ${JSON.stringify(value)}`)
}
