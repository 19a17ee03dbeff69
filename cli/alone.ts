/**
 * The lives in which a node takes part in no cluster: it has none, its disk is locked, or the others went on without it.
 *
 * Each answers on the node's socket, says there what is the matter, and waits to be told what to do about it.
 */
import { mkdirSync } from "node:fs"
import process from "node:process"
import { Context, Deferred, Effect, Layer, Schedule } from "effect"
import type { Held, LeftBehind } from "#actors/authority/store.ts"
import { Executor } from "#actors/drivers/executor.ts"
import { Refused, refuse } from "#actors/model/errors.ts"
import { type AloneDoors, openAloneDoors } from "#cli/doors.ts"
import { driversOf } from "#cli/drivers.ts"
import type { Identity } from "#cli/identity.ts"
import { idle } from "#cli/idle.ts"
import { endTasks, removeTasks } from "#cli/leave.ts"
import { leftBehindText } from "#cli/left-behind.ts"
import { type End, type Lives, leaving, nextLife, tellAsked } from "#cli/lives.ts"
import { openHeld } from "#cli/lock.ts"
import type { NodeOptions } from "#cli/node-options.ts"
import { announceRunning, engineOf } from "#cli/running.ts"

/** What tells these lives apart. */
interface Alone extends AloneDoors {
  /** What people are told once it answers. */
  readonly said: Effect.Effect<void>
}

/** Answers on the node's socket until the node leaves or this life `ends`. */
const serveAlone = Effect.fnUntraced(function* (
  options: NodeOptions,
  identity: Identity,
  lives: Lives,
  ends: Deferred.Deferred<End>,
  { said, ...alone }: Alone
) {
  const { nodeId, clusterId } = identity
  const doors = yield* openAloneDoors(options, identity, alone)
  const { dataDir, socket } = options
  const running = { pid: process.pid, nodeId, clusterId, socket, http: doors.url ?? "", nats: "" }
  yield* announceRunning(dataDir, { ...running, ...engineOf(options) })
  yield* said
  yield* tellAsked(lives, nodeId)
  const over = Effect.as(Deferred.await(lives.left), "over" as End)
  return yield* Effect.raceFirst(over, Deferred.await(ends))
})

const nobody: Identity = { nodeId: "", clusterId: "" }

/** What a node without a cluster does: it answers for its Engine, and waits to be told what to become. */
export const serveIdle = Effect.fnUntraced(function* (options: NodeOptions, lives: Lives) {
  lives.keyring.unlockKey = undefined
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 })
  mkdirSync(options.runDir, { recursive: true, mode: 0o711 })
  const ends = yield* Deferred.make<End>()
  const begin = Effect.suspend(() => {
    lives.begins = true
    return Deferred.succeed(ends, "another role")
  })
  const { control, isBeginning } = idle(options, nextLife(lives, begin))
  return yield* serveAlone(options, nobody, lives, ends, {
    membership: () => (isBeginning() ? "pending" : "inactive"),
    root: () => "",
    executor: { ensureNetwork: () => Effect.die("no cluster, no network of it") },
    control,
    said: Effect.logInfo(
      `This node is in no cluster: it waits for docker swarm init or join at unix://${options.socket}`
    )
  })
})

/** A member that takes no part: it can be asked, and told to leave with all that it runs. */
const serveAside = Effect.fnUntraced(function* (
  options: NodeOptions,
  held: Held,
  lives: Lives,
  ends: Deferred.Deferred<End>,
  life: Pick<Alone, "membership" | "problem" | "control" | "said"> & { readonly endsTasks?: boolean }
) {
  const identity: Identity = held.membership
  mkdirSync(options.runDir, { recursive: true, mode: 0o711 })
  const drivers = yield* Layer.build(driversOf(options, identity))
  const executor = Context.get(drivers, Executor)
  const { endsTasks = false, ...alone } = life
  if (endsTasks) {
    const ending = endTasks.pipe(
      Effect.tapError(({ message }) => Effect.logWarning(`Its tasks are not all ended yet: ${message}`)),
      Effect.retry(Schedule.spaced("5 seconds")),
      Effect.andThen(Effect.logInfo("Its tasks have ended"))
    )
    yield* Effect.forkScoped(Effect.provideContext(ending, drivers))
  }
  const leave = () => leaving(options, lives, Effect.orDie(Effect.provideContext(removeTasks, drivers)))
  return yield* serveAlone(options, identity, lives, ends, {
    ...alone,
    root: () => held.membership.root,
    executor,
    control: { ...alone.control, leave }
  })
})

/** What a manager does whose disk people have locked: its tasks go on, and it waits for the key. */
export const serveLocked = Effect.fnUntraced(function* (options: NodeOptions, held: Held, lives: Lives) {
  const ends = yield* Deferred.make<End>()
  const unlock = (unlockKey: string) =>
    Effect.gen(function* () {
      if (openHeld(options.dataDir, held, { unlockKey }) === undefined)
        return yield* Refused.of(
          refuse("unauthenticated", "swarm could not be unlocked: invalid key provided")
        )
      lives.keyring.unlockKey = unlockKey
      yield* nextLife(lives, Deferred.succeed(ends, "another role"))
    })
  return yield* serveAside(options, held, lives, ends, {
    membership: () => "locked",
    control: { unlock },
    said: Effect.logWarning(
      `This manager's disk is locked: it waits for docker swarm unlock at unix://${options.socket}`
    )
  })
})

/** What a member does that was left behind: says so, and leaves when it is told to. One that was removed runs nothing. */
export const serveLeftBehind = Effect.fnUntraced(function* (
  options: NodeOptions,
  held: Held,
  leftBehind: LeftBehind,
  lives: Lives
) {
  const problem = leftBehindText(leftBehind)
  const ends = yield* Deferred.make<End>()
  const forceNewCluster = nextLife(lives, Deferred.succeed(ends, "begin anew"))
  return yield* serveAside(options, held, lives, ends, {
    membership: () => "error",
    problem,
    endsTasks: leftBehind.removed === true,
    control: { forceNewCluster },
    said: Effect.logError(problem)
  })
})
