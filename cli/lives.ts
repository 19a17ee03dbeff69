/**
 * A node has one life after another in one process, each in the role that it holds when it begins. What one hands to the
 * next is here, and how whoever asked for the next one hears that it serves.
 */
import { Deferred, Effect } from "effect"
import { type Refusal, Refused, refuse } from "#actors/model/errors.ts"
import { beginInPlace } from "#cli/begin-anew.ts"
import { vanish } from "#cli/leave.ts"
import { bytesOf, type Keyring } from "#cli/lock.ts"
import type { NodeOptions } from "#cli/node-options.ts"

/** How a life ends. */
export type End = "over" | "another role" | "begin anew"

/**
 * What outlives one life. `asked` is who waits for the next one to serve: for this node's id. `begins`: that is a
 * member's first, and holds nothing yet that could be lost.
 */
export interface Lives {
  left: Deferred.Deferred<void>
  asked: Deferred.Deferred<string, Refused> | undefined
  begins: boolean
  /** Why that first life could not be. */
  problem: string | undefined
  /** Completes when the present life is about to answer at the doors. */
  up: Deferred.Deferred<void>
  readonly keyring: Keyring
}

/** It was given nothing to begin with: without a cluster, it waits for `docker swarm init` or `join`. */
export const waitsForOrders = ({ role, join }: NodeOptions): boolean =>
  role === undefined && join === undefined

/** Completes with this node's id when its next life serves, which `end` makes due. */
export const nextLife = (lives: Lives, end: Effect.Effect<unknown>): Effect.Effect<string, Refused> =>
  Effect.gen(function* () {
    lives.asked ??= yield* Deferred.make<string, Refused>()
    yield* end
    return yield* Deferred.await(lives.asked)
  })

/** Whoever waits hears that this life serves, or why the one asked for does not. */
export const tellAsked = Effect.fnUntraced(function* (lives: Lives, nodeId: string) {
  const { asked, problem } = lives
  lives.asked = undefined
  lives.begins = false
  lives.problem = undefined
  if (asked === undefined) return
  if (problem === undefined) yield* Deferred.succeed(asked, nodeId)
  else yield* Deferred.fail(asked, Refused.of(refuse("unknown", problem)))
})

/** Whoever waits for a life that will not come hears why. */
export const tellInVain = (lives: Lives, refusal: Refusal): Effect.Effect<unknown> => {
  const { asked } = lives
  lives.asked = undefined
  return asked === undefined ? Effect.logError(refusal.message) : Deferred.fail(asked, Refused.of(refusal))
}

/** Leaves the cluster after `parting`; a node that then waits for orders is waited for. */
export const leaving = (options: NodeOptions, lives: Lives, parting: Effect.Effect<void>) =>
  Effect.gen(function* () {
    yield* parting
    const end = Effect.suspend(() => Deferred.succeed(lives.left, undefined))
    yield* waitsForOrders(options) ? nextLife(lives, end) : end
  })

/** A member's first life that fails before it serves was asked for in vain: the node is without a cluster again. */
export const giveUpBeginning = <E extends { readonly message: string }>(
  options: NodeOptions,
  lives: Lives,
  error: E
): Effect.Effect<End, E | Error> =>
  Effect.gen(function* () {
    if (!lives.begins) return yield* Effect.fail(error)
    lives.begins = false
    lives.problem = error.message
    yield* Effect.logError(error.message)
    yield* vanish(options)
    return "another role" as const
  })

/** Whoever asked hears why it cannot be; then the next life goes on as before. */
export const beginAnew = ({ dataDir }: NodeOptions, lives: Lives) =>
  beginInPlace(dataDir, Date.now(), undefined, bytesOf(lives.keyring.unlockKey)).pipe(
    Effect.catch(({ message }) =>
      tellInVain(lives, refuse("failedPrecondition", `cannot begin the cluster anew: ${message}`))
    )
  )
