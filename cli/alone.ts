/**
 * What a node does while it takes part in no cluster: it has none, its disk is locked, the others went on without it, or
 * it has not come up yet.
 *
 * Each answers on the node's socket, says there what is the matter, and waits to be told what to do about it.
 */
import process from "node:process"
import { Deferred, Effect, Exit, Layer, Schedule } from "effect"
import { type Held, type LeftBehind, readHeld } from "#actors/authority/store.ts"
import type { EngineDoors } from "#actors/gateway/open.ts"
import { Refused, refuse } from "#actors/model/errors.ts"
import { type AloneAnswers, answerAlone, whereaboutsOf } from "#cli/doors.ts"
import { driversOf } from "#cli/drivers.ts"
import { idle } from "#cli/idle.ts"
import { endTasks, removeTasks } from "#cli/leave.ts"
import { leftBehindText } from "#cli/left-behind.ts"
import { type End, type Lives, leaving, nextLife, tellAsked, tellInVain } from "#cli/lives.ts"
import { openHeld } from "#cli/lock.ts"
import { placedAs } from "#cli/member.ts"
import type { NodeOptions } from "#cli/node-options.ts"
import { announceRunning, engineOf } from "#cli/running.ts"

/** What all of these have at hand; `held` is absent on a node without a cluster. */
interface Place {
  readonly options: NodeOptions
  readonly doors: EngineDoors
  readonly lives: Lives
  readonly held: Held | undefined
}

/** So that commands find it. */
const announce = ({ options, doors, held }: Place): Effect.Effect<void> => {
  const { dataDir, socket } = options
  const { nodeId = "", clusterId = "" } = held?.membership ?? {}
  const running = { pid: process.pid, nodeId, clusterId, socket, http: doors.url ?? "", nats: "" }
  return announceRunning(dataDir, { ...running, ...engineOf(options) })
}

/** What tells these lives apart. */
interface Alone extends AloneAnswers {
  /** What people are told once it answers. */
  readonly said: Effect.Effect<void>
}

/** Answers until the node leaves or this life `ends`. */
const serveAlone = Effect.fnUntraced(function* (
  place: Place,
  ends: Deferred.Deferred<End>,
  { said, ...alone }: Alone
) {
  const { options, doors, lives, held } = place
  yield* Deferred.succeed(lives.up, undefined)
  yield* answerAlone(options, doors, held, alone)
  yield* announce(place)
  yield* said
  yield* tellAsked(lives, held?.membership.nodeId ?? "")
  const over = Effect.as(Deferred.await(lives.left), "over" as End)
  return yield* Effect.raceFirst(over, Deferred.await(ends))
})

/** What a node without a cluster does: it answers for its Engine, and waits to be told what to become. */
export const serveIdle = Effect.fnUntraced(function* (
  options: NodeOptions,
  doors: EngineDoors,
  lives: Lives
) {
  lives.keyring.unlockKey = undefined
  const ends = yield* Deferred.make<End>()
  const begin = Effect.suspend(() => {
    lives.begins = true
    return Deferred.succeed(ends, "another role")
  })
  const { control, isBeginning } = idle(options, nextLife(lives, begin))
  return yield* serveAlone({ options, doors, lives, held: undefined }, ends, {
    membership: () => (isBeginning() ? "pending" : "inactive"),
    control,
    said: Effect.logInfo(
      `This node is in no cluster: it waits for docker swarm init or join at unix://${options.socket}`
    )
  })
})

/** A member that takes no part: it can be asked, and told to leave with all that it runs. */
const serveAside = Effect.fnUntraced(function* (
  place: Place & { readonly held: Held },
  ends: Deferred.Deferred<End>,
  life: Alone & { readonly endsTasks?: boolean }
) {
  const { options, lives, held } = place
  const drivers = yield* Layer.build(driversOf(options, held.membership))
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
  return yield* serveAlone(place, ends, { ...alone, control: { ...alone.control, leave } })
})

/** What a manager does whose disk people have locked: its tasks go on, and it waits for the key. */
export const serveLocked = Effect.fnUntraced(function* (
  options: NodeOptions,
  doors: EngineDoors,
  held: Held,
  lives: Lives
) {
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
  return yield* serveAside({ options, doors, lives, held }, ends, {
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
  doors: EngineDoors,
  held: Held,
  leftBehind: LeftBehind,
  lives: Lives
) {
  const problem = leftBehindText(leftBehind)
  const ends = yield* Deferred.make<End>()
  const forceNewCluster = nextLife(lives, Deferred.succeed(ends, "begin anew"))
  return yield* serveAside({ options, doors, lives, held }, ends, {
    membership: () => "error",
    problem,
    endsTasks: leftBehind.removed === true,
    control: { forceNewCluster },
    said: Effect.logError(problem)
  })
})

/** A busy machine is up by then. Swarm's Engine has whoever asks wait for 20 s. */
const comesUpWithin = "5 seconds"

/**
 * Lives `life`, and answers for this node while that has not come up: no manager may be there to be reached, for however
 * long. Told then to leave, or to begin the cluster anew, it comes up no more.
 */
export const answeringFor = Effect.fnUntraced(function* <E, R>(
  options: NodeOptions,
  doors: EngineDoors,
  lives: Lives,
  life: Effect.Effect<End, E, R>
) {
  const up = yield* Deferred.make<void>()
  const ends = yield* Deferred.make<End | "leaves">()
  const parted = yield* Deferred.make<void>()
  lives.up = up
  const control = {
    leave: () =>
      Effect.gen(function* () {
        if (lives.asked && !(yield* Deferred.isDone(ends))) yield* tellInVain(lives, leftMeanwhile)
        const parting = Effect.andThen(Deferred.succeed(ends, "leaves"), Deferred.await(parted))
        yield* leaving(options, lives, parting)
      }),
    forceNewCluster: nextLife(lives, Deferred.succeed(ends, "begin anew"))
  }
  const meanwhile = Effect.gen(function* () {
    yield* Effect.sleep(comesUpWithin)
    const held = yield* readHeld(options.dataDir)
    const role = held?.membership.role ?? "worker"
    yield* answerAlone(options, doors, held, {
      membership: () => `pending/${role}`,
      ...(held && { whereabouts: () => whereaboutsOf(placedAs(options, held), held) }),
      control
    })
    yield* Effect.suspend(() =>
      Deferred.isDoneUnsafe(up) ? Effect.void : announce({ options, doors, lives, held })
    )
    yield* Effect.logWarning(
      `This node has not come up yet: it answers for its Engine at unix://${options.socket}, and waits for its cluster`
    )
    return yield* Effect.never
  }).pipe(
    Effect.scoped,
    Effect.catch(({ message }) => Effect.logError(message)),
    Effect.raceFirst(Deferred.await(up)),
    Effect.andThen(Effect.never)
  )
  const end = yield* Effect.raceFirst(Effect.raceFirst(life, meanwhile), Deferred.await(ends))
  if (end !== "leaves") return end
  // Nothing of that life is left which could begin tasks again.
  const removal = Effect.gen(function* () {
    const held = yield* readHeld(options.dataDir)
    if (held !== undefined) yield* Effect.provide(removeTasks, driversOf(options, held.membership))
  })
  const removed = yield* Effect.exit(Effect.orDie(removal))
  yield* Deferred.done(parted, removed)
  if (Exit.isFailure(removed)) return "another role" as End
  yield* Deferred.await(lives.left)
  return "over" as End
})

const leftMeanwhile = refuse("unknown", "This node was told to leave the swarm meanwhile")
