/**
 * The imitated network: each message takes a while, and may be lost, doubled or overtaken; processes may be cut off,
 * in both directions or in one. It stands between the endpoints of a `MemoryBus`, as its `link`.
 */
import type { Host } from "#runtime/host.ts"
import type { Fresh } from "#runtime/ids.ts"
import type { Link } from "#runtime/transport/memory.ts"

/** Chances from 0 to 1, times in milliseconds. */
export interface Weather {
  readonly loss: number
  /** How likely a message comes twice. */
  readonly doubling: number
  /** What a message takes, evenly spread from `leastMs` to `mostMs`; those sent close together overtake each other. */
  readonly leastMs: number
  readonly mostMs: number
  /** No message overtakes another one of the same link, as on one connection. */
  readonly inOrder?: boolean
}

/** A local network on a good day: in order and complete. */
export const calm: Weather = { loss: 0, doubling: 0, leastMs: 1, mostMs: 1 }

/** From anybody, or to anybody. */
const anybody = "*"
const way = (from: string, to: string): string => `${from} ${to}`

export class Network {
  /** Of every link that has none of its own. */
  weather: Weather = calm
  readonly #chance: Fresh
  readonly #host: Pick<Host, "now">
  readonly #cut = new Set<string>()
  readonly #weathers = new Map<string, Weather>()
  /** When the last message of a link arrives. */
  readonly #lastAt = new Map<string, number>()

  /** `chance` decides about every message, and `host` tells the time that all of them share. */
  constructor(chance: Fresh, host: Pick<Host, "now">) {
    this.#chance = chance
    this.#host = host
  }

  /** Cuts a process off: nobody reaches it and it reaches nobody, and nobody is told so. */
  cut(name: string): void {
    this.cutWay(name, anybody)
    this.cutWay(anybody, name)
  }

  /** Undoes `cut`; ways that were cut one by one stay cut. */
  mend(name: string): void {
    this.mendWay(name, anybody)
    this.mendWay(anybody, name)
  }

  isCut(name: string): boolean {
    return this.#cut.has(way(name, anybody)) && this.#cut.has(way(anybody, name))
  }

  /** Loses what goes from one process to another and leaves the way back alone; `*` is anybody. */
  cutWay(from: string, to: string): void {
    this.#cut.add(way(from, to))
  }

  mendWay(from: string, to: string): void {
    this.#cut.delete(way(from, to))
  }

  /** Splits the network: nobody of one side reaches anybody of the other. */
  partition(side: ReadonlyArray<string>, otherSide: ReadonlyArray<string>): void {
    for (const one of side) {
      for (const other of otherSide) {
        this.cutWay(one, other)
        this.cutWay(other, one)
      }
    }
  }

  /** The weather of one way; `undefined` gives it back to the common one. */
  setWeather(from: string, to: string, weather: Weather | undefined): void {
    if (weather) this.#weathers.set(way(from, to), weather)
    else this.#weathers.delete(way(from, to))
  }

  /** Everybody reaches everybody again, in good weather. */
  heal(): void {
    this.#cut.clear()
    this.#weathers.clear()
    this.weather = calm
  }

  readonly link: Link = (from, to) => {
    if (from === to) return [0]
    const cut = this.#cut
    if (
      cut.size > 0 &&
      (cut.has(way(from, to)) || cut.has(way(from, anybody)) || cut.has(way(anybody, to)))
    ) {
      return []
    }
    const weather = this.#weathers.size > 0 ? this.#weathers.get(way(from, to)) : undefined
    return this.#delays(from, to, weather ?? this.weather)
  }

  #delays(from: string, to: string, weather: Weather): ReadonlyArray<number> {
    const { loss, doubling } = weather
    if (loss > 0 && this.#chance.fraction() < loss) return []
    const first = this.#delay(from, to, weather)
    const comesTwice = doubling > 0 && this.#chance.fraction() < doubling
    return comesTwice ? [first, this.#delay(from, to, weather)] : [first]
  }

  #delay(from: string, to: string, { leastMs, mostMs, inOrder }: Weather): number {
    const drawn = leastMs + (mostMs > leastMs ? this.#chance.below(mostMs - leastMs + 1) : 0)
    if (!inOrder) return drawn
    const now = this.#host.now()
    const at = Math.max(now + drawn, this.#lastAt.get(way(from, to)) ?? 0)
    this.#lastAt.set(way(from, to), at)
    return at - now
  }
}
