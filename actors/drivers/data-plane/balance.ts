/**
 * Which backend takes the next connection: each in turn, those that just failed only when no other is left.
 *
 * Time is an argument and nothing waits here, so the order can be proved.
 */

/** A backend that refused is passed over this long, while others can take its place. */
export const refusedForMs = 1_000
/** One that did not answer at all costs a whole time-out to try, so it is passed over longer. */
export const silentForMs = 5_000

export class Balancer {
  #addresses: ReadonlyArray<string> = []
  #turn = 0
  /** When each failed address may be tried first again. */
  readonly #shunned = new Map<string, number>()

  get size(): number {
    return this.#addresses.length
  }

  /** Takes a new set of backends; what is known of those that stay is kept. */
  replace(addresses: ReadonlyArray<string>): void {
    this.#addresses = addresses
    const staying = new Set(addresses)
    for (const address of this.#shunned.keys()) if (!staying.has(address)) this.#shunned.delete(address)
  }

  has(address: string): boolean {
    return this.#addresses.includes(address)
  }

  /**
   * The next address that is not in `tried`: a sound one, or with `desperate` also one that failed lately.
   * `undefined` when there is none.
   */
  next(now: number, tried: ReadonlySet<string> | undefined, desperate: boolean): string | undefined {
    const count = this.#addresses.length
    let lastResort: number | undefined
    for (let i = 0; i < count; i++) {
      const at = (this.#turn + i) % count
      const address = this.#addresses[at] as string
      if (tried?.has(address)) continue
      if ((this.#shunned.get(address) ?? 0) <= now) {
        this.#turn = (at + 1) % count
        return address
      }
      lastResort ??= at
    }
    if (!desperate || lastResort === undefined) return undefined
    this.#turn = (lastResort + 1) % count
    return this.#addresses[lastResort]
  }

  shun(address: string, until: number): void {
    if (this.has(address)) this.#shunned.set(address, until)
  }

  /** It answered: it is sound. */
  trust(address: string): void {
    if (this.#shunned.size > 0) this.#shunned.delete(address)
  }
}
