/** `/swarm`: Engine API, tag Swarm. */
import { Effect } from "effect"
import { planRootChange } from "#actors/authority/rotation.ts"
import { readBody } from "#actors/gateway/body.ts"
import {
  allow,
  type Call,
  current,
  type Gateway,
  type Handled,
  noManager,
  orRefuse,
  type Route,
  reading,
  write
} from "#actors/gateway/gateway.ts"
import { isOn, parseSwitch, parseVersionIndex } from "#actors/gateway/parse-query.ts"
import { type Answer, done, ok, refusing } from "#actors/gateway/response.ts"
import { swarm } from "#actors/gateway/shape/swarm.ts"
import { checkInit, checkJoin } from "#actors/gateway/validate/check-beginning.ts"
import { checkSwarm, completeSwarm } from "#actors/gateway/validate/check-swarm.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { outOfSequence, type Refusal, Refused, refuse } from "#actors/model/errors.ts"
import type { Cluster } from "#actors/model/objects.ts"
import { equal } from "#actors/model/service-facts.ts"
import { SwarmInitRequest, SwarmJoinRequest, SwarmSpec, SwarmUnlockRequest } from "#actors/model/spec.ts"

const noCluster = refuse("notFound", "This node is not part of a swarm")

function inspectSwarm(reader: LedgerReader): Answer | Refusal {
  const cluster = reader.cluster()
  return cluster === undefined ? noCluster : ok(swarm(cluster))
}

const isMember = (gateway: Gateway): boolean => gateway.membership() !== "inactive"
const already = refusing(
  "unavailable",
  'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'
)

/** Where it listens and what it advertises stay as its flags say. */
function forceNewCluster(gateway: Gateway): Effect.Effect<string, Refused> {
  const state = gateway.membership()
  const { forceNewCluster: force } = gateway.control
  // Of a node in error it takes the log's word whether it is a manager.
  if (state !== "active/manager" && state !== "pending/manager" && state !== "error")
    return Effect.fail(noManager(gateway))
  return force ?? refusing("notImplemented", "this node cannot begin its cluster anew while it runs")
}

const initSwarm = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const request = yield* readBody(call.request, SwarmInitRequest)
    if (isMember(gateway)) {
      if (request.ForceNewCluster !== true) return yield* already
      return ok(yield* forceNewCluster(gateway))
    }
    if (gateway.control.init === undefined) {
      return yield* refusing(
        "notImplemented",
        "this node cannot start a cluster: give it a role when it starts"
      )
    }
    yield* allow(checkInit(request))
    return ok(yield* gateway.control.init(request))
  })

const joinSwarm = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const request = yield* readBody(call.request, SwarmJoinRequest)
    if (isMember(gateway)) return yield* already
    if (gateway.control.join === undefined) {
      return yield* refusing(
        "notImplemented",
        "this node cannot join a cluster: give it a role when it starts"
      )
    }
    yield* allow(checkJoin(request))
    yield* gateway.control.join(request)
    return done
  })

/** Why a manager should stay; `loss` is what is lost when it goes, as far as that can be said. */
const asManager = (loss: string): string =>
  `You are attempting to leave the swarm on a node that is participating as a manager. ${loss}The only way to restore a swarm that has lost consensus is to reinitialize it with \`--force-new-cluster\`. Use \`--force\` to suppress this message.`

function lossOf(reader: LedgerReader): string {
  let reachable = 0
  let unreachable = 0
  for (const node of reader.all("node")) {
    if (node.Spec.Role !== "manager") continue
    if (node.ManagerStatus?.Reachability === "unreachable") unreachable += 1
    else reachable += 1
  }
  if (reachable + unreachable <= 1) {
    return "You are attempting to leave the swarm on a node that is participating as a manager. Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. "
  }
  const quorum = Math.floor((reachable + unreachable) / 2) + 1
  return asManager(
    reachable - 1 < quorum
      ? `Removing this node leaves ${reachable - 1} managers out of ${reachable + unreachable}. Without a Raft quorum your swarm will be inaccessible. `
      : ""
  )
}

/** Who would be left is said with the other managers, or not at all: what this one knows may be old. */
const stays = (gateway: Gateway): Effect.Effect<never, Refused> =>
  current(gateway).pipe(
    Effect.map(lossOf),
    Effect.catch(() => Effect.succeed(asManager(""))),
    Effect.flatMap((loss) => refusing("unavailable", loss))
  )

const leaveSwarm = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    if (!isMember(gateway)) return yield* refusing("unavailable", noCluster.message)
    const force = isOn(call.query, "force")
    const state = gateway.membership()
    if (state === "locked" && !force) {
      return yield* refusing(
        "unavailable",
        "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message."
      )
    }
    if (state === "active/manager" && !force) return yield* stays(gateway)
    if (state === "pending/manager" && !force) {
      return yield* refusing("unavailable", asManager("Doing so may lose the consensus of your cluster. "))
    }
    if (gateway.control.leave === undefined) {
      return yield* refusing("notImplemented", "this node cannot leave its cluster while it runs")
    }
    yield* gateway.control.leave(force)
    return done
  })

const updateSwarm = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const asked = yield* readBody(call.request, SwarmSpec)
    const { version } = yield* orRefuse(parseVersionIndex(call.query, "swarm"))
    const rotateWorker = yield* orRefuse(parseSwitch(call.query, "rotateWorkerToken"))
    const rotateManager = yield* orRefuse(parseSwitch(call.query, "rotateManagerToken"))
    const rotateUnlockKey = yield* orRefuse(parseSwitch(call.query, "rotateManagerUnlockKey"))
    const reader = yield* current(gateway)
    const cluster = reader.cluster()
    if (cluster === undefined) return yield* Refused.of(noCluster)
    yield* allow(checkSwarm(asked))
    if (version !== cluster.Version.Index) return yield* Refused.of(outOfSequence)
    const change = yield* planRootChange(cluster, asked.CAConfig ?? {}, gateway.clock())
    const spec = completeSwarm(cluster.Spec, asked)
    const tokens =
      rotateWorker.on || rotateManager.on
        ? {
            Worker: rotateWorker.on ? gateway.newToken("worker") : cluster.JoinTokens.Worker,
            Manager: rotateManager.on ? gateway.newToken("manager") : cluster.JoinTokens.Manager
          }
        : undefined
    const unlockKey = unlockKeyFor(gateway, cluster, spec, rotateUnlockKey.on)
    const update = {
      v: 1,
      version,
      spec,
      ...(tokens !== undefined && { tokens }),
      ...(unlockKey !== undefined && { unlockKey })
    } as const
    yield* write(
      gateway,
      call,
      change === undefined
        ? { type: "cluster.update", ...update }
        : { type: "cluster.rotate", ...update, ...change },
      (after) => {
        const found = after.cluster()
        return (
          found !== undefined &&
          found.Version.Index > version &&
          equal(found.Spec, spec) &&
          (tokens === undefined || equal(found.JoinTokens, tokens)) &&
          (unlockKey === undefined || (found.UnlockKey ?? "") === unlockKey)
        )
      }
    )
    return done
  })

/** The key that the change brings about: none where it stays as it is, an empty one where there is to be none any more. */
function unlockKeyFor(
  gateway: Gateway,
  { UnlockKey: present }: Cluster,
  { EncryptionConfig }: SwarmSpec,
  isRotated: boolean
): string | undefined {
  if (EncryptionConfig?.AutoLockManagers !== true) return present === undefined ? undefined : ""
  return present === undefined || isRotated ? gateway.newUnlockKey() : undefined
}

/** Empty for a cluster whose managers do not lock themselves. */
const showUnlockKey = reading((reader) => ok({ UnlockKey: reader.cluster()?.UnlockKey ?? "" }))

const unlockSwarm = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const { UnlockKey = "" } = yield* readBody(call.request, SwarmUnlockRequest)
    if (gateway.membership() === "locked" && gateway.control.unlock !== undefined) {
      yield* gateway.control.unlock(UnlockKey)
      return done
    }
    return yield* gateway.membership() === "active/manager"
      ? // The Engine's word for it is a conflict.
        refusing("alreadyExists", "swarm is not locked")
      : noManager(gateway)
  })

export const swarmRoutes: ReadonlyArray<Route> = [
  { method: "GET", path: "/swarm", handle: reading(inspectSwarm) },
  { method: "POST", path: "/swarm/init", handle: initSwarm },
  { method: "POST", path: "/swarm/join", handle: joinSwarm },
  { method: "POST", path: "/swarm/leave", handle: leaveSwarm },
  { method: "POST", path: "/swarm/update", handle: updateSwarm },
  { method: "GET", path: "/swarm/unlockkey", handle: showUnlockKey },
  { method: "POST", path: "/swarm/unlock", handle: unlockSwarm }
]
