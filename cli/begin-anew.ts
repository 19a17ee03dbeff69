/**
 * Begins a cluster anew: from what a survivor's own log has, in its own data directory, or in a fresh one as a new
 * node. What follows in the ledger is written at the next start (`cli/manager.ts`), when there is a ledger.
 */
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { issueMembership, newRoutePassword } from "#actors/authority/membership.ts"
import { type Held, heldText, readHeld, rootsText, trustFiles } from "#actors/authority/store.ts"
import { expiryMs } from "#actors/authority/welcome.ts"
import { newRequest, readCertificate } from "#actors/authority/x509.ts"
import type { Cluster } from "#actors/model/objects.ts"
import type { Roots } from "#actors/model/trust.ts"
import { founding } from "#actors/raft/core/configuration.ts"
import { type Incarnation, later, nextIncarnation } from "#actors/raft/incarnation.ts"
import { readKeyFiles } from "#actors/raft/storage/node-key.ts"
import { type Contents, contentsOf } from "#actors/raft/storage/salvage-files.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import { begin, settleBeginning } from "#actors/recovery/beginning.ts"
import { cannot, RecoveryError } from "#actors/recovery/errors.ts"
import { aloneAfter, join as joinLogs, type Remains, surveyAll } from "#actors/recovery/survivors.ts"
import { freshFromMachine, identityFile, identityText } from "#cli/identity.ts"
import { raftIdOf } from "#cli/manager-nats.ts"

/** Runs what reads and writes files; all that is wrong with them is a `RecoveryError`. */
export const carefully = <A>(work: () => A): Effect.Effect<A, RecoveryError> =>
  Effect.try({
    try: work,
    catch: (error) => (error instanceof RecoveryError ? error : cannot((error as Error).message))
  })

/** Whose data directory it is; refuses one that is no manager's. */
const heldByManager = Effect.fnUntraced(function* (dataDir: string): Effect.fn.Return<Held, RecoveryError> {
  yield* carefully(() => settleBeginning(dataDir))
  const held = yield* readHeld(dataDir).pipe(Effect.mapError(({ message }) => cannot(message)))
  if (held === undefined) return yield* cannot(`${dataDir} is of no member of a cluster`)
  if (held.membership.role !== "manager") {
    return yield* cannot(`${dataDir} is of a worker: only a manager has the state of its cluster`)
  }
  return held
})

/**
 * Begins anew in the data directory of a manager, from `remains` or from what its own log has. Its node must not run.
 * Answers the new incarnation. When it fails, everything is as it was. A locked log stays locked by its `unlockKey`.
 */
export const beginInPlace = Effect.fn("cli.beginInPlace")(function* (
  dataDir: string,
  now: number,
  remains?: Remains,
  unlockKey?: Uint8Array
): Effect.fn.Return<Incarnation, RecoveryError> {
  const { leftBehind, ...held } = yield* heldByManager(dataDir)
  const { clusterId } = held.membership
  const {
    found,
    survivors,
    incarnation: before,
    configuration,
    state
  } = remains ?? (yield* carefully(() => joinLogs(surveyAll([dataDir], unlockKey))))
  const surveys = survivors.map(({ survey }) => survey)
  const strange = surveys.find(({ owner }) => owner.clusterId !== clusterId)
  if (strange !== undefined) {
    return yield* cannot(
      `The log in ${strange.directory} is of cluster ${strange.owner.clusterId}, the node in ${dataDir} is of ${clusterId}`
    )
  }
  const known = [before, held.membership.incarnation, leftBehind?.incarnation].filter(
    (one) => one !== undefined
  )
  const latest = known.reduce((a, b) => later(a, b))
  const incarnation = nextIncarnation(latest, freshFromMachine().id())
  const raftId = raftIdOf(held)
  const certified = yield* recertify(held, state.cluster, now)
  const wrapper = readKeyFiles(nodeVfs, dataDir)[0]
  const own = surveys.find(({ directory }) => directory === dataDir)?.log.wrapper ?? wrapper
  yield* carefully(() =>
    begin({
      dataDir,
      owner: { clusterId, nodeId: raftId },
      incarnation,
      configuration: aloneAfter(configuration, raftId),
      contents: contentsOf(found, surveys),
      ...(own !== undefined && { wrapper: own }),
      files: {
        [trustFiles.member]: heldText({
          ...certified,
          membership: {
            ...certified.membership,
            incarnation,
            managers: [],
            // Those that were left behind know the old one.
            routePassword: newRoutePassword()
          }
        })
      },
      now
    })
  )
  return incarnation
})

/**
 * What a survivor shows when it goes on: there is nobody else to certify it. It has another certificate where its own has
 * ended, or is of a root that the cluster has left.
 */
const recertify = Effect.fnUntraced(function* (
  held: Held,
  cluster: Cluster,
  now: number
): Effect.fn.Return<Held, RecoveryError> {
  const { nodeId, clusterId, certificate, root, managers } = held.membership
  const { Roots: roots } = cluster
  const facts = yield* readCertificate(certificate, root).pipe(Effect.option)
  const isGood = facts._tag === "Some" && facts.value.notAfter > now
  if (roots === undefined || (isGood && root === roots.ca.certificate)) return held
  const issuing = Effect.gen(function* () {
    const request = yield* newRequest
    const own = managers.find((peer) => peer.nodeId === nodeId)
    const addresses = own === undefined ? [] : [own.address]
    const member = { nodeId, clusterId, role: "manager", addresses } as const
    const grant = { member, csr: request.pem, managers: [], now, expiryMs: expiryMs(cluster) }
    const issued = yield* issueMembership(roots, grant)
    const { sealedKeys, ...rest } = held
    const lock = sealedKeys !== undefined && cluster.UnlockKey !== undefined && [cluster.UnlockKey]
    return {
      ...{ ...rest, key: request.key, membership: { ...held.membership, ...issued } },
      ...(lock && { lock })
    }
  })
  return yield* issuing.pipe(Effect.mapError(({ message }) => cannot(message)))
})

/** What a fresh directory begins from: another one's state, whole and checked. */
export interface Estate {
  readonly clusterId: string
  readonly roots: Roots
  /** The latest that is known of. */
  readonly incarnation: Incarnation
  readonly contents: Contents
}

/** Refuses a directory that holds a ledger or a membership, and says what to do. */
export const mustBeFresh = (dataDir: string): Effect.Effect<void, RecoveryError> => {
  const taken = [identityFile, "trust", "raft"].find((name) => existsSync(join(dataDir, name)))
  if (taken === undefined || (taken === "raft" && isEmptyLog(dataDir))) return Effect.void
  return Effect.fail(
    cannot(
      `${dataDir} is in use: there is ${taken}. Stop its node and move the directory away, or choose another one with --data-dir`
    )
  )
}

const isEmptyLog = (dataDir: string): boolean =>
  readdirSync(join(dataDir, "raft")).every((name) => name.startsWith("LOCK"))

/** Begins anew in a fresh directory, as a new node of the same cluster. Answers the new incarnation and the node's id. */
export const beginAfresh = Effect.fn("cli.beginAfresh")(function* (
  dataDir: string,
  estate: Estate,
  now: number
): Effect.fn.Return<{ readonly incarnation: Incarnation; readonly nodeId: string }, RecoveryError> {
  yield* carefully(() => settleBeginning(dataDir))
  yield* mustBeFresh(dataDir)
  const fresh = freshFromMachine()
  const { clusterId, roots, contents } = estate
  const nodeId = fresh.id()
  const incarnation = nextIncarnation(estate.incarnation, fresh.id())
  yield* carefully(() =>
    begin({
      dataDir,
      owner: { clusterId, nodeId },
      incarnation,
      configuration: founding(nodeId),
      contents,
      files: {
        [identityFile]: identityText({ nodeId, clusterId }, new Date(now).toISOString()),
        [trustFiles.roots]: rootsText({ ...roots, routePassword: newRoutePassword() })
      },
      now
    })
  )
  return { incarnation, nodeId }
})
