/** Starts the leader's tree when this manager comes to lead, stops it when it no longer does; carries the term. */
import { Effect, Queue, type Scope } from "effect"
import { caughtUp } from "#actors/ledger/following.ts"
import { Ledger, type LedgerService } from "#actors/ledger/service.ts"
import { leaderTree } from "#actors/manager/tree.ts"
import type { Leadership } from "#actors/raft/protocol.ts"
import { System } from "#runtime/system.ts"

export interface LeadershipOptions {
  readonly clusterId: string
  readonly nodeId: string
}

/** Between a tree that gave up and the next try. */
const pause = "1 second"
const again = "50 millis"

/**
 * Follows leadership until its scope closes. While this manager leads it answers for home `leader`, under its
 * term. A tree that gives up is logged with its cause and started again: nothing else could take its place.
 */
export const leadership = Effect.fn("manager.leadership")(function* (
  options: LeadershipOptions
): Effect.fn.Return<never, never, Ledger | System | Scope.Scope> {
  const ledger = yield* Ledger
  // Only the newest word counts.
  const words = yield* Queue.sliding<Leadership>(1)
  yield* Effect.acquireRelease(
    Effect.sync(() => ledger.onLeadership((word) => Queue.offerUnsafe(words, word))),
    (subscription) => Effect.sync(() => subscription.unsubscribe())
  )
  let now = ledger.leadership()
  for (;;) {
    const next: Leadership =
      now._tag === "Leading"
        ? yield* Effect.raceFirst(lead(options, now.term), newWord(words, now))
        : yield* newWord(words, now)
    now = next
  }
})

/** The next word that says something else than `known`. */
const newWord = Effect.fnUntraced(function* (words: Queue.Dequeue<Leadership>, known: Leadership) {
  for (;;) {
    const word = yield* Queue.take(words)
    if (word._tag !== known._tag || word.term !== known.term) return word
  }
})

/** What the leader's actors decided in `term` is not written in a later one, where others have decided since. */
const fenced = (ledger: LedgerService, term: number): LedgerService => ({
  ...ledger,
  propose: (command, origin) => ledger.propose(command, origin, term)
})

/** Leads until interrupted. */
const lead = (options: LeadershipOptions, term: number): Effect.Effect<never, never, Ledger | System> =>
  Effect.scoped(
    Effect.gen(function* () {
      const ledger = yield* Ledger
      const system = yield* System
      // What earlier leaders committed is applied before anything is decided.
      yield* caughtUp(ledger, again)
      yield* Effect.acquireRelease(
        Effect.sync(() => system.claim("leader", { term })),
        (claim) => Effect.sync(() => claim.release())
      )
      const raftId = ledger.status().nodeId
      const tree = yield* system
        .run(leaderTree({ ledger: ledger.read, term, raftId, ...options }), "leader")
        .pipe(Effect.provideService(Ledger, fenced(ledger, term)))
      return yield* tree.ended
    })
  ).pipe(
    Effect.catch((failure) =>
      Effect.logError("The leader's tree gave up", failure).pipe(Effect.andThen(Effect.sleep(pause)))
    ),
    Effect.forever
  )
