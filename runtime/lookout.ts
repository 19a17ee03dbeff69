/** What the main thread says about itself for its watchdog: which actor it is about, and which message. */
import { type Address, showAddress } from "#runtime/address.ts"
import type { Blackboard } from "#runtime/blackboard.ts"

/** What a cell says about itself while it runs; next to free, because it stands in the hottest loop. */
export interface Lookout {
  /** A turn of this actor begins. Returns what `leave` is to be given, since a start may happen inside a turn. */
  readonly enter: (actor: Watched) => number
  /** It is about this message now. */
  readonly about: (message: unknown) => void
  readonly leave: (before: number) => void
}

/** An actor as the lookout knows it; `mark` is the lookout's own and begins as 0. */
export interface Watched {
  readonly self: Address
  mark: number
}

/** The cell's side of a blackboard. */
export function lookoutOn(board: Blackboard): Lookout {
  const { actors, tags } = board
  const owners: Array<Watched | undefined> = new Array(actors.size)
  const places = new Map<string, number>()
  let nextActor = 0
  let nextTag = 0
  let current = 0
  let tag: string | undefined

  const place = (actor: Watched): number => {
    nextActor = (nextActor % (actors.size - 1)) + 1
    owners[nextActor] = actor
    actor.mark = nextActor
    actors.write(nextActor, showAddress(actor.self))
    return nextActor
  }
  const placeTag = (name: string): number => {
    const known = places.get(name)
    if (known !== undefined) return known
    nextTag = (nextTag % (tags.size - 1)) + 1
    for (const [other, at] of places) if (at === nextTag) places.delete(other)
    places.set(name, nextTag)
    tags.write(nextTag, name)
    return nextTag
  }

  return {
    enter: (actor) => {
      const before = current
      current = owners[actor.mark] === actor ? actor.mark : place(actor)
      board.actor(current)
      return before
    },
    about: (message) => {
      const said = (message as { readonly _tag?: unknown } | null | undefined)?._tag
      if (said === tag || typeof said !== "string") return
      tag = said
      board.tag(placeTag(said))
    },
    leave: (before) => {
      current = before
      board.actor(before)
    }
  }
}
