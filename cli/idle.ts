/**
 * A node without a cluster: its socket answers as an Engine's that is in no swarm, and waits for `docker swarm init` or
 * `docker swarm join`. What they ask for is written down whole; then this life ends, and the member's begins.
 */
import { networkInterfaces } from "node:os"
import { Effect, Schedule } from "effect"
import { JoinError } from "#actors/authority/joining.ts"
import { type Held, type Wish, writeHeld } from "#actors/authority/store.ts"
import type { MembershipControl } from "#actors/gateway/gateway.ts"
import { isRefusal, refusing } from "#actors/gateway/response.ts"
import { type Machine, managerAt, placeOf } from "#actors/gateway/validate/check-beginning.ts"
import { usualDataPathPort, usualSubnetSize } from "#actors/manager/found.ts"
import { Refused, refuse } from "#actors/model/errors.ts"
import type { SwarmInitRequest, SwarmJoinRequest } from "#actors/model/spec.ts"
import { found, join } from "#cli/member.ts"
import type { NodeOptions } from "#cli/node-options.ts"

/** A manager may be starting; whoever waits at a prompt would rather be told than wait for long. */
const patience = Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 5 }))

/** As long as Swarm's Engine has whoever joins wait; `docker info` says then how it stands. */
const joinsWithin = "20 seconds"
const joinsLater = refusing(
  "unavailable",
  'Timeout was reached before node joined. The attempt to join the swarm will continue in the background. Use the "docker info" command to see the current swarm status of your node.'
)

export interface Idle {
  /** A beginning is under way. */
  readonly isBeginning: () => boolean
  readonly control: Pick<MembershipControl, "init" | "join">
}

/** `begun` ends this life and completes with the node's id when the member's life serves, or fails with why it cannot. */
export function idle(options: NodeOptions, begun: Effect.Effect<string, Refused>): Idle {
  let isBusy = false
  const begin = (
    asked: Pick<SwarmInitRequest, "ListenAddr" | "AdvertiseAddr" | "DataPathAddr" | "Availability">,
    become: (options: NodeOptions) => Effect.Effect<Held, Error>,
    serves = begun
  ): Effect.Effect<string, Refused> =>
    Effect.gen(function* () {
      if (isBusy) return yield* refusing("unavailable", "this node is about to become part of a swarm")
      const place = placeOf(asked, machineOf(options))
      if (isRefusal(place)) return yield* Refused.of(place)
      isBusy = true
      const { joinPort: _kept, ...reached } = place
      const availability = availabilityOf(asked.Availability, options)
      const held = yield* become({ ...options, ...place, availability })
      yield* writeHeld(options.dataDir, { ...held, place: reached })
      return yield* serves
    }).pipe(
      Effect.catch((error) => Effect.fail(error instanceof Refused ? error : refusalOf(error))),
      Effect.ensuring(
        Effect.sync(() => {
          isBusy = false
        })
      )
    )
  const joined = Effect.timeoutOrElse(begun, { duration: joinsWithin, orElse: () => joinsLater })
  return {
    isBeginning: () => isBusy,
    control: {
      init: (request) => begin(request, (at) => found(at, Date.now(), wishOf(request, at))),
      join: (request) => Effect.asVoid(begin(request, (at) => joinAny(at, request), joined))
    }
  }
}

// Swarm answers 500 for whatever a manager has against a join.
const refusalOf = (error: Error): Refused => Refused.of(refuse("unknown", error.message))

const availabilityOf = (asked: string | undefined, { availability }: NodeOptions): Wish["availability"] =>
  asked === "active" || asked === "pause" || asked === "drain" ? asked : availability

const wishOf = (asked: SwarmInitRequest, { availability, addrPool }: NodeOptions): Wish => ({
  spec: { ...asked.Spec, ...(asked.AutoLockManagers && { EncryptionConfig: { AutoLockManagers: true } }) },
  addrPool: asked.DefaultAddrPool?.length ? asked.DefaultAddrPool : addrPool,
  subnetSize: asked.SubnetSize || usualSubnetSize,
  dataPathPort: asked.DataPathPort || usualDataPathPort,
  availability
})

/** The first manager that can be reached decides. */
const joinAny = Effect.fnUntraced(function* (
  options: NodeOptions,
  { RemoteAddrs = [], JoinToken = "" }: SwarmJoinRequest
) {
  const once = Effect.gen(function* () {
    let problem = new JoinError({ message: "no manager was named", final: true })
    for (const address of RemoteAddrs) {
      const outcome = yield* Effect.result(
        join(options, { address: managerAt(address), token: JoinToken }, Date.now())
      )
      if (outcome._tag === "Success") return outcome.success
      if (!(outcome.failure instanceof JoinError)) return yield* Effect.fail(outcome.failure)
      problem = outcome.failure
      if (problem.final) break
    }
    return yield* Effect.fail(problem)
  })
  return yield* Effect.retry(once, {
    schedule: patience,
    while: (error) => error instanceof JoinError && !error.final
  })
})

function machineOf({ advertiseAddr, joinPort }: NodeOptions): Machine {
  const interfaces = new Map<string, string>()
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    const first = addresses?.find(({ family }) => family === "IPv4") ?? addresses?.[0]
    if (first !== undefined) interfaces.set(name, first.address)
  }
  return { interfaces, usualAddr: advertiseAddr, usualJoinPort: joinPort }
}
