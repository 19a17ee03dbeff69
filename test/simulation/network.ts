/** Imitated links: each message takes a while, and may be lost, doubled or overtaken; nodes may be cut off. */
import type { Fresh } from "#runtime/ids.ts"
import type { Link } from "#runtime/transport/memory.ts"

/** Chances from 0 to 1, times in milliseconds. */
export interface Weather {
  readonly loss: number
  readonly doubling: number
  readonly leastMs: number
  readonly mostMs: number
}

/** A local network on a good day: in order and complete. */
export const calm: Weather = { loss: 0, doubling: 0, leastMs: 1, mostMs: 1 }

export class Network {
  weather: Weather = calm
  /** Names that nobody reaches and that reach nobody, without being told so. */
  readonly #cut = new Set<string>()
  readonly #chance: Fresh

  constructor(chance: Fresh) {
    this.#chance = chance
  }

  cut(name: string): void {
    this.#cut.add(name)
  }

  mend(name: string): void {
    this.#cut.delete(name)
  }

  isCut(name: string): boolean {
    return this.#cut.has(name)
  }

  /** Everybody reaches everybody again, in good weather. */
  heal(): void {
    this.#cut.clear()
    this.weather = calm
  }

  readonly link: Link = (from, to) => {
    if (from === to) return [0]
    if (this.#cut.has(from) || this.#cut.has(to)) return []
    const { loss, doubling } = this.weather
    if (loss > 0 && this.#chance.fraction() < loss) return []
    const first = this.#delay()
    return doubling > 0 && this.#chance.fraction() < doubling ? [first, this.#delay()] : [first]
  }

  #delay(): number {
    const { leastMs, mostMs } = this.weather
    return leastMs + (mostMs > leastMs ? this.#chance.below(mostMs - leastMs + 1) : 0)
  }
}
