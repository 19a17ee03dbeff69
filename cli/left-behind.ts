/**
 * A manager that the others went on without: how it comes to know, and what it still does then.
 *
 * A survivor that begins the cluster anew cannot tell those it takes for lost. One that comes back asks the managers
 * that it knows, before it takes part in anything and whenever one of them is silent; the join port answers also those
 * that no nats-server lets in. A manager that was removed while it was away hears
 * that there too. From then on it serves its socket, where it says so and can be told to leave.
 */
import { existsSync } from "node:fs"
import { Deferred, Effect, Schema } from "effect"
import { isOtherLife, renewAtDoor } from "#actors/authority/certificate/renewal.ts"
import type { CredentialsService } from "#actors/authority/credentials.ts"
import { askStanding } from "#actors/authority/joining.ts"
import { joinAddress, peersOf } from "#actors/authority/peers.ts"
import { type Peer, removedText } from "#actors/authority/protocol.ts"
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

/** The managers are of a later incarnation than this one, or removed it: it takes part in nothing any more. */
export class WentOnWithout extends Schema.TaggedError<WentOnWithout>()("WentOnWithout", {
  leftBehind: LeftBehind
}) {}

/** What people are told, in `docker info`, in every refusal and in the log. */
export const leftBehindText = ({ incarnation, by, removed }: LeftBehind): string =>
  (removed
    ? "This manager was removed from the cluster, as the others say. "
    : `This manager was left behind: the cluster was begun anew without it, in incarnation ${incarnation.number}, as manager ${by} says. `) +
  'It takes no part any more. Run "docker swarm leave --force" here, then join the cluster again.'

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

export const lookOut = Effect.fnUntraced(function* (
  { held, dataDir, change, supersede }: CredentialsService,
  own: Incarnation
) {
  const verdict = yield* Deferred.make<never, WentOnWithout>()
  const { nodeId, clusterId } = held().membership
  const judge = (leftBehind: LeftBehind): void => {
    Deferred.doneUnsafe(verdict, Effect.fail(new WentOnWithout({ leftBehind })))
  }
  const warned = new Set<string>()
  const warn = (by: string, text: string): void => {
    if (warned.has(`${by} ${text}`)) return
    warned.add(`${by} ${text}`)
    console.error(text)
  }
  const met = (other: Incarnation, by: string): void => {
    if (supersedes(other, own)) {
      judge({ incarnation: other, by })
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
  /** Routes have another password, as `by` says: who was away while it changed learns it, or what it is now if no manager. */
  const catchUp = (by: string) =>
    Effect.gen(function* () {
      const before = held()
      const next = yield* renewAtDoor(dataDir, before)
      yield* isOtherLife(before, next) ? supersede(next) : change(() => next)
      yield* Effect.logInfo("This manager has learnt what it was away for: routes have another password")
    }).pipe(
      Effect.catch(({ message }) =>
        // Said only by who has asked a majority.
        message === removedText(nodeId)
          ? Effect.sync(() => judge({ incarnation: own, by, removed: true }))
          : Effect.logWarning(`The routes' password is not known: ${message}`)
      )
    )
  let isCatchingUp = false
  const catchUpOnce = Effect.fnUntraced(function* (by: string) {
    if (isCatchingUp) return
    isCatchingUp = true
    yield* Effect.ensuring(
      catchUp(by),
      Effect.sync(() => {
        isCatchingUp = false
      })
    )
  })
  const askOne = (peer: Peer) =>
    Effect.suspend(() => askStanding(joinAddress(peer.address, peer.ports), held().membership.root)).pipe(
      Effect.tap((said) =>
        Effect.sync(() => (said.clusterId === clusterId ? met(said.incarnation, said.raftId) : undefined))
      ),
      Effect.tap((said) =>
        said.clusterId === clusterId && (said.routes ?? 1) > (held().membership.routes ?? 1)
          ? catchUpOnce(said.raftId)
          : Effect.void
      ),
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

/** Writes down that this manager takes no part any more: beside its membership, and on its log. */
export const rememberLeftBehind = Effect.fn("cli.rememberLeftBehind")(function* (
  dataDir: string,
  held: Held,
  { leftBehind }: WentOnWithout
) {
  yield* writeHeld(dataDir, { ...held, leftBehind })
  const mark = { nodeId: raftIdOf(held), reason: leftBehindText(leftBehind), successor: "" }
  yield* Effect.try(() =>
    placeWhole(nodeVfs, raftDirectory(dataDir), names.quarantine, encodeMark(nodeCipher, mark))
  )
})
