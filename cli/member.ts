/**
 * How a machine becomes a member of a cluster, once in the life of its data directory: it founds one, or joins one.
 *
 * What it holds afterwards is whole or not there: a crash on the way leaves a machine that tries again.
 */
import { Effect, Schedule } from "effect"
import { factsOf, renewAtDoor } from "#actors/authority/certificate/renewal.ts"
import { JoinError, joinCluster } from "#actors/authority/joining.ts"
import { issueMembership, newRoots } from "#actors/authority/membership.ts"
import { type Held, readHeld, readRoots, type Wish, writeHeld, writeRoots } from "#actors/authority/store.ts"
import { expiryMs } from "#actors/authority/welcome.ts"
import { newRequest } from "#actors/authority/x509.ts"
import type { ManagerPorts } from "#actors/model/trust.ts"
import { ownSeeds, publicKeysOf } from "#actors/nats/creds.ts"
import { freePort } from "#cli/free-port.ts"
import { openIdentity, writeIdentity } from "#cli/identity.ts"
import { rememberLeftBehind, removalOf } from "#cli/left-behind.ts"
import { BadOption, type NodeOptions } from "#cli/node-options.ts"

/** A manager may be starting, or another one may be elected. */
const patience = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("2 seconds")]).pipe(
  Schedule.upTo({ times: 30 })
)

/** What this machine holds, after it has joined or founded where it held nothing. `now` is ms since the epoch. */
export const becomeMember = Effect.fn("cli.becomeMember")(function* (options: NodeOptions, now: number) {
  const held = yield* readHeld(options.dataDir)
  if (held !== undefined) return yield* revive(options, held, now)
  if (options.role === "worker" && options.join === undefined) {
    return yield* BadOption.of("role", "worker", "--join and --token beside it: a worker founds no cluster")
  }
  const made =
    options.join === undefined
      ? yield* found(options, now)
      : yield* join(options, options.join, now).pipe(
          Effect.tapError((error) =>
            error instanceof JoinError && !error.final ? Effect.logWarning(error.message) : Effect.void
          ),
          Effect.retry({
            schedule: patience,
            while: (error) => error instanceof JoinError && !error.final
          })
        )
  yield* writeHeld(options.dataDir, made)
  return made
})

/** The options, with where `docker swarm init` or `join` had it listen unless flags say that. */
export const placedAs = (options: NodeOptions, { place }: Held): NodeOptions => ({
  ...options,
  ...(options.isPlaced ? {} : place),
  dataPathAddr: options.dataPathAddr ?? place?.dataPathAddr
})

/** Whose certificate has ended while it was away is let in nowhere, but for the managers' doors. */
const revive = Effect.fnUntraced(function* (options: NodeOptions, held: Held, now: number) {
  if (held.leftBehind !== undefined) return held
  const { notAfter } = yield* factsOf(held)
  const { nodeId, managers } = held.membership
  if (notAfter > now || managers.every((peer) => peer.nodeId === nodeId)) return held
  yield* Effect.logWarning(
    `This node's certificate ended at ${new Date(notAfter).toISOString()}: asking the managers for another one`
  )
  return yield* renewAtDoor(options.dataDir, held).pipe(
    Effect.tapError(({ message }) => Effect.logWarning(message)),
    Effect.retry({ schedule: patience, while: (error) => !(error instanceof JoinError && error.final) }),
    Effect.tap((next) => writeHeld(options.dataDir, next)),
    Effect.catch((error) => {
      const removal = removalOf(error, held)
      if (removal === undefined) return Effect.fail(error)
      const { leftBehind } = removal
      return Effect.as(rememberLeftBehind(options.dataDir, held, removal), { ...held, leftBehind })
    })
  )
})

/** A new cluster's first member. Its roots lie in the data directory until they are in the ledger, as does `wish`. */
export const found = Effect.fn("cli.found")(function* (options: NodeOptions, now: number, wish?: Wish) {
  const { nodeId, clusterId } = yield* openIdentity(options.dataDir, new Date(now).toISOString())
  const roots = (yield* readRoots(options.dataDir)) ?? (yield* newRoots(now))
  yield* writeRoots(options.dataDir, roots)
  const request = yield* newRequest
  const membership = yield* issueMembership(roots, {
    member: { nodeId, clusterId, role: "manager", addresses: [options.advertiseAddr] },
    csr: request.pem,
    managers: [],
    now,
    expiryMs: expiryMs({ Spec: wish?.spec ?? {} })
  })
  const ports = yield* choosePorts(options)
  return {
    origin: "founded",
    membership,
    key: request.key,
    ports,
    ...(wish !== undefined && { wish })
  } satisfies Held
})

/** Asks one manager, once. */
export const join = Effect.fn("cli.join")(function* (
  options: NodeOptions,
  target: { readonly address: string; readonly token: string },
  now: number
) {
  const request = yield* newRequest
  const ports = yield* choosePorts(options)
  const membership = yield* joinCluster(target.address, {
    token: target.token,
    csr: request.pem,
    keys: publicKeysOf(yield* ownSeeds(options.dataDir)),
    name: options.name,
    address: options.advertiseAddr,
    ports,
    availability: options.availability
  })
  yield* writeIdentity(options.dataDir, membership, new Date(now).toISOString())
  return { origin: "joined", membership, key: request.key, ports } satisfies Held
})

/** The ports as they were asked for; 0 becomes one that is free now and is kept from then on. */
const choosePorts = Effect.fnUntraced(function* ({ listenAddr, joinPort, natsPort, routePort }: NodeOptions) {
  const promised: Array<number> = [joinPort, natsPort, routePort]
  const choose = Effect.fnUntraced(function* (asked: number) {
    if (asked !== 0) return asked
    const port = yield* Effect.tryPromise({
      try: () => freePort(listenAddr, 0, promised),
      catch: (error) => error as Error
    })
    promised.push(port)
    return port
  })
  const ports: ManagerPorts = {
    join: yield* choose(joinPort),
    nats: yield* choose(natsPort),
    route: yield* choose(routePort)
  }
  return ports
})
