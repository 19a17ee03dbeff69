/**
 * Behind the doors: whoever comes is led to what answers there now, and waits for a while where nothing does, between two
 * lives of a node and before its first.
 */
import type { EventEmitter } from "node:events"
import { Effect, type Scope } from "effect"
import type { Listener } from "#actors/gateway/listener.ts"
import type { PassThrough } from "#actors/gateway/proxy.ts"
import { refuseUpgrade, say } from "#actors/gateway/say.ts"

export interface Door {
  readonly kind: "socket" | "http"
  /** Leads to this same door. */
  readonly self: PassThrough
}

/**
 * Leads who waits and who comes to what `make` gives for each door, until the scope closes or this is called again.
 * What runs there when the scope closes gets a second to end; `onStop` is told first, to end streams that would
 * otherwise go on.
 */
export type Lead = (
  make: (door: Door) => Listener,
  onStop?: () => void
) => Effect.Effect<void, never, Scope.Scope>

/** What a door does with those who come. */
export type Comer = Pick<Listener, "onRequest" | "onUpgrade">

export interface Hall {
  readonly open: (door: Door) => Comer
  readonly lead: Lead
  /** Refuses who waits, and whoever comes from now on. */
  readonly close: () => void
}

/** For answers under way when a life or the doors end: streams were told already, and nobody waits longer for a list. */
export const graceMs = 1_000
/** A node is between two lives for less than a second, a busy one for some. Each who waits is a connection, its body unread. */
const usualPatience = { withinMs: 10_000, atMost: 1_000 }

const isLate = "This node is starting or changing its role, and does not answer yet. Try again in a moment."
const isFull =
  "This node is starting or changing its role, and too many wait for that. Try again in a moment."
const isOver = "This node is shutting down."

type Inside = ReadonlyMap<Door, Listener>
interface Waiting {
  readonly enter: (to: Inside) => void
  readonly refuse: (why: string) => void
}

export function makeHall(apiVersion: () => string, patience = usualPatience): Hall {
  const doors: Array<Door> = []
  /** The last one answers: one before it may still be ending. */
  const insides: Array<Inside> = []
  const waiting = new Set<Waiting>()
  let isClosed = false

  const come = ({ enter, refuse }: Waiting, connection: EventEmitter): void => {
    const inside = insides.at(-1)
    if (inside !== undefined) enter(inside)
    else if (isClosed) refuse(isOver)
    else if (waiting.size >= patience.atMost) refuse(isFull)
    else {
      const leave = (): void => {
        waiting.delete(one)
        clearTimeout(late)
        connection.off("close", leave)
      }
      const one: Waiting = {
        enter: (to) => {
          leave()
          enter(to)
        },
        refuse: (why) => {
          leave()
          refuse(why)
        }
      }
      const late = setTimeout(() => one.refuse(isLate), patience.withinMs)
      connection.once("close", leave)
      waiting.add(one)
    }
  }

  return {
    open: (door) => {
      doors.push(door)
      return {
        onRequest: (request, response) => {
          // A client that goes away is not our error.
          response.on("error", () => {})
          come(
            {
              enter: (to) => to.get(door)?.onRequest(request, response),
              refuse: (why) => say(response, 503, why, { "Api-Version": apiVersion() })
            },
            response
          )
        },
        onUpgrade: (request, socket, head) => {
          socket.on("error", () => socket.destroy())
          come(
            {
              enter: (to) => to.get(door)?.onUpgrade(request, socket, head),
              refuse: (why) => refuseUpgrade(socket, 503, why)
            },
            socket
          )
        }
      }
    },
    lead: (make, onStop = () => {}) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const inside = new Map(doors.map((door) => [door, make(door)]))
          insides.push(inside)
          for (const one of [...waiting]) one.enter(inside)
          return inside
        }),
        (inside) =>
          Effect.suspend(() => {
            insides.splice(insides.indexOf(inside), 1)
            onStop()
            return Effect.promise(() =>
              Promise.all([...inside.values()].map((listener) => listener.end(graceMs)))
            )
          })
      ),
    close: () => {
      isClosed = true
      for (const one of [...waiting]) one.refuse(isOver)
    }
  }
}
