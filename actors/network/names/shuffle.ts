/** Puts things into an order that depends on a seed alone. */

/** Fisher and Yates' shuffle, driven by the mulberry32 generator. Gives what it was given if there is no choice. */
export function shuffle<T>(things: ReadonlyArray<T>, seed: number): ReadonlyArray<T> {
  if (things.length < 2) return things
  const order = [...things]
  let state = seed | 0
  for (let last = order.length - 1; last > 0; last--) {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    const at = ((mixed ^ (mixed >>> 14)) >>> 0) % (last + 1)
    const held = order[last] as T
    order[last] = order[at] as T
    order[at] = held
  }
  return order
}
