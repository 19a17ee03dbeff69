/**
 * A node that the others went on without: how it comes to know, and what it still does then.
 *
 * A survivor that begins the cluster anew cannot tell those it takes for lost. A manager that comes back asks the managers
 * that it knows, before it takes part in anything and whenever one of them is silent; the join port answers also those
 * that no nats-server lets in. A manager that was removed while it was away hears that there too, and so does a worker,
 * which asks once no nats-server lets it in or nobody who leads knows it. From then on the node serves its socket, where
 * it says so and can be told to leave. A manager that was demoted, or is to be one under another name, and was cut off before it
 * heard so, hears what it is now there as well.
 */
import { existsSync } from "node:fs"
import { performance } from "node:perf_hooks"
import { Deferred, type Duration, Effect, Schema } from "effect"
import { isOtherLife, renewAtDoor } from "#actors/authority/certificate/renewal.ts"
import type { CredentialsService } from "#actors/authority/credentials.ts"
import { askStanding } from "#actors/authority/joining.ts"
import { joinAddress, peersOf } from "#actors/authority/peers.ts"
import { type Peer, removedText, type Standing } from "#actors/authority/protocol.ts"
import { type Held, LeftBehind, writeHeld } from "#actors/authority/store.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import {
  firstIncarnation,
  type Incarnation,
  isSameIncarnation,
  showIncarnation,
  supersedes
} from "#actors/raft/incarnation.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { decodeIdentity } from "#actors/raft/storage/identity.ts"
import { names, raftDirectory } from "#actors/raft/storage/layout.ts"
import { encodeMark } from "#actors/raft/storage/quarantine-mark.ts"
import { placeWhole, readWhole } from "#actors/raft/storage/vfs.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import { raftIdOf } from "#cli/manager-nats.ts"

/** The managers are of a later incarnation than this node, or removed it: it takes part in nothing any more. */
export class WentOnWithout extends Schema.TaggedError<WentOnWithout>()("WentOnWithout", {
  leftBehind: LeftBehind
}) {}

/** What people are told, in `docker info`, in every refusal and in the log. */
export const leftBehindText = ({ incarnation, by, removed }: LeftBehind): string =>
  removed
    ? 'This node was removed from the cluster, as its managers say. It takes no part any more, and ends its tasks. Run "docker swarm leave" here, then join the cluster again.'
    : `This manager was left behind: the cluster was begun anew without it, in incarnation ${incarnation.number}, as manager ${by} says. It takes no part any more. Run "docker swarm leave --force" here, then join the cluster again.`

/** Asks at a join port for what this node is to hold now, and holds it. */
const catchUp = Effect.fnUntraced(function* ({ held, dataDir, change, supersede }: CredentialsService) {
  const before = held()
  const next = yield* renewAtDoor(dataDir, before)
  yield* isOtherLife(before, next) ? supersede(next) : change(() => next)
})

/** What a refusal at a join port came to where it says that this node was removed, which is said only by who has asked a majority. */
export const removalOf = ({ message }: Error, { membership }: Held, by = ""): WentOnWithout | undefined => {
  const { nodeId, incarnation = firstIncarnation } = membership
  if (message !== removedText(nodeId)) return undefined
  return new WentOnWithout({ leftBehind: { incarnation, by, removed: true } })
}

/** The incarnation of this node's own log, or of the group that it was told to join. */
export function incarnationOf(dataDir: string, held: Held): Incarnation {
  const file = `${raftDirectory(dataDir)}/${names.identity}`
  const identity = existsSync(file) ? decodeIdentity(nodeCipher, readWhole(nodeVfs, file)) : undefined
  return identity?.incarnation ?? held.membership.incarnation ?? firstIncarnation
}

export interface Lookout {
  /** Told of somebody's incarnation; whether that leaves this manager behind shows here. */
  readonly met: (other: Incarnation, by: string) => void
  /** Fails with `WentOnWithout` once it does. */
  readonly leftBehind: Effect.Effect<never, WentOnWithout>
  /** Asks whom this node knows, once. */
  readonly ask: (peers: ReadonlyArray<Peer>) => Effect.Effect<void>
}

/** A door that has refused many shuts for a while, for those who want to join as well. */
const refusedPauseMs = 5_000

export const lookOut = Effect.fnUntraced(function* (credentials: CredentialsService, own: Incarnation) {
  const { held } = credentials
  const verdict = yield* Deferred.make<never, WentOnWithout>()
  const { nodeId, clusterId } = held().membership
  const judge = (found: WentOnWithout): void => {
    Deferred.doneUnsafe(verdict, Effect.fail(found))
  }
  const warned = new Set<string>()
  const warn = (by: string, text: string): void => {
    if (warned.has(`${by} ${text}`)) return
    warned.add(`${by} ${text}`)
    console.error(text)
  }
  const met = (other: Incarnation, by: string): void => {
    if (supersedes(other, own)) {
      judge(new WentOnWithout({ leftBehind: { incarnation: other, by } }))
    } else if (supersedes(own, other)) {
      warn(
        by,
        `Manager ${by} is of incarnation ${showIncarnation(other)}, which was left behind: it is not heard here, where the cluster is in ${showIncarnation(own)}`
      )
    } else if (!isSameIncarnation(own, other)) {
      warn(
        by,
        `The cluster was begun anew twice: here in incarnation ${showIncarnation(own)}, and as manager ${by} says in ${showIncarnation(other)}. One of the two has to leave`
      )
    }
  }
  /** Something is not as it was, as `by` says: who was away meanwhile learns what it is now, one question at a time. */
  let notBefore = 0
  const learn = Effect.fnUntraced(function* (by: string, news: string) {
    if (performance.now() < notBefore) return
    notBefore = Number.POSITIVE_INFINITY
    let pauseMs = refusedPauseMs
    yield* catchUp(credentials).pipe(
      Effect.tap(() => {
        pauseMs = 0
        return Effect.logInfo(`This manager has learnt what it was away for: ${news}`)
      }),
      Effect.catch((error) => {
        const removal = removalOf(error, held(), by)
        return removal
          ? Effect.sync(() => judge(removal))
          : Effect.logWarning(
              `This manager has not learnt yet what it was away for, ${news}: ${error.message}`
            )
      }),
      Effect.ensuring(
        Effect.sync(() => {
          notBefore = performance.now() + pauseMs
        })
      )
    )
  })
  const askOne = (peer: Peer) =>
    Effect.suspend(() =>
      askStanding(joinAddress(peer.address, peer.ports), held().membership.root, raftIdOf(held()))
    ).pipe(
      Effect.tap((said) =>
        Effect.sync(() => (said.clusterId === clusterId ? met(said.incarnation, said.raftId) : undefined))
      ),
      Effect.tap((said) => {
        const news = said.clusterId === clusterId ? newsIn(said, held()) : undefined
        return news === undefined ? Effect.void : learn(said.raftId, news)
      }),
      // Whoever does not answer, or is of a release that does not know the question, says nothing.
      Effect.ignore
    )
  const lookout: Lookout = {
    met,
    leftBehind: Deferred.await(verdict),
    ask: (peers) =>
      Effect.forEach(
        peers.filter((peer) => peer.nodeId !== nodeId),
        askOne,
        { concurrency: "unbounded", discard: true }
      )
  }
  return lookout
})

/** What a manager that was away has missed, by what another one says. */
function newsIn({ routes = 1, isMember = true }: Standing, { membership }: Held): string | undefined {
  if (routes > (membership.routes ?? 1)) return "routes have another password"
  return isMember ? undefined : "it is not in the group of managers any more, or under another name"
}

const askEvery = "2 seconds"

/** Asks as long as something is amiss: nobody leads, or a member that is led is silent. */
export const keepAsking = (held: () => Held, ledger: LedgerService, lookout: Lookout): Effect.Effect<never> =>
  Effect.suspend(() => (isAmiss(ledger) ? lookout.ask(knownTo(held(), ledger)) : Effect.void)).pipe(
    Effect.delay(askEvery),
    Effect.forever
  )

function isAmiss(ledger: LedgerService): boolean {
  const { role, leader } = ledger.status()
  if (role === "leader") return ledger.group.view().members.some(({ reachable }) => !reachable)
  return leader === undefined
}

function knownTo(held: Held, ledger: LedgerService): ReadonlyArray<Peer> {
  const peers = new Map(
    [...held.membership.managers, ...peersOf(ledger.read)].map((peer) => [peer.nodeId, peer])
  )
  return [...peers.values()]
}

/** A worker that is cut off while managers answer is asked of them again after that. */
const askedEvery: Duration.Input = "30 seconds"

/** Asks whenever a worker is cut off whether it was removed, until it was. */
export const hearOfRemoval = (
  credentials: CredentialsService,
  isCutOff: () => boolean,
  lookEvery: Duration.Input = "1 second"
): Effect.Effect<never, WentOnWithout> =>
  Effect.gen(function* () {
    for (;;) {
      yield* Effect.sleep(lookEvery)
      if (!isCutOff()) continue
      const problem = yield* Effect.flip(catchUp(credentials)).pipe(Effect.option)
      if (problem._tag === "None") {
        yield* Effect.sleep(askedEvery)
        continue
      }
      const removal = removalOf(problem.value, credentials.held())
      if (removal) return yield* removal
      yield* Effect.logDebug(`Whether this node was removed is not known: ${problem.value.message}`)
    }
  })

/** Writes down that this node takes no part any more: beside its membership, and on a manager's log. */
export const rememberLeftBehind = Effect.fn("cli.rememberLeftBehind")(function* (
  dataDir: string,
  held: Held,
  { leftBehind }: WentOnWithout
) {
  yield* writeHeld(dataDir, { ...held, leftBehind })
  if (held.membership.role === "worker") return
  const mark = { nodeId: raftIdOf(held), reason: leftBehindText(leftBehind), successor: "" }
  yield* Effect.try(() =>
    placeWhole(nodeVfs, raftDirectory(dataDir), names.quarantine, encodeMark(nodeCipher, mark))
  )
})
