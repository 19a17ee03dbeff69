/** The node's networks and published ports: `<node>/network/main`, above the tasks that need them. */
import { Effect } from "effect"
import { DataPlane } from "#actors/drivers/data-plane.ts"
import { Entrance } from "#actors/drivers/entrance.ts"
import { Executor } from "#actors/drivers/executor.ts"
import { Kernel } from "#actors/drivers/kernel.ts"
import { Names } from "#actors/drivers/names.ts"
import { hindranceOf, isEncrypted } from "#actors/model/network-keys.ts"
import { decide, idle, type Networks } from "#actors/network/decide.ts"
import { keyOfPort, type NetworkPlan } from "#actors/network/plan.ts"
import type { NetworkAction, NetworkMessage } from "#actors/network/protocol.ts"
import type { SessionMessage } from "#actors/node/session/protocol.ts"
import { tell } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { type Step, stay } from "#runtime/behaviour.ts"

export const network = actor({
  kind: "network",
  start: (_props: unknown, { self }): Step<Networks, NetworkAction> =>
    stay(
      idle,
      tell(address(self.home, "session", "main"), { _tag: "NetworkAwake" } satisfies SessionMessage)
    ),
  decide,
  perform,
  summary: ({ dropped, underway, ports, problems, overlays }: Networks) =>
    [
      `${ports?.length ?? 0} published ports`,
      ...(overlays.tables.length > 0 ? [`${overlays.tables.length} overlays`] : []),
      ...(overlays.repairs > 0 ? [`${overlays.repairs} repairs`] : []),
      ...overlays.problems,
      ...problems.map(({ protocol, publishedPort, message }) =>
        protocol === "" ? message : `${protocol}/${publishedPort}: ${message}`
      ),
      ...(underway.size > 0 ? [`${underway.size} networks in the making or going`] : []),
      ...(dropped.size > 0 ? [`${dropped.size} networks to be removed`] : [])
    ].join(", ")
})

const carryOut = Effect.fn("network.perform")(function* (action: NetworkAction) {
  switch (action._tag) {
    case "EnsureNetwork": {
      const executor = yield* Executor
      const hindrance = isEncrypted(action.plan.options) ? yield* hindranceHere : undefined
      if (hindrance !== undefined) return refusal(action.plan, hindrance)
      const bridge = yield* executor.ensureNetwork(action.plan)
      return { _tag: "Ensured", id: action.plan.id, bridge } satisfies NetworkMessage
    }
    case "RemoveNetwork": {
      const executor = yield* Executor
      yield* executor.removeNetwork(action.id)
      return { _tag: "NetworkGone", id: action.id } satisfies NetworkMessage
    }
    case "ListNetworks": {
      const executor = yield* Executor
      return { _tag: "Listed", networks: yield* executor.listNetworks } satisfies NetworkMessage
    }
    case "PublishPorts": {
      const dataPlane = yield* DataPlane
      const problems = yield* dataPlane.publish(action.ports)
      const closed = new Set(problems.map(keyOfPort))
      const open = action.ports.map(keyOfPort).filter((key) => !closed.has(key))
      return { _tag: "Published", problems, open } satisfies NetworkMessage
    }
    case "MakeKey": {
      const kernel = yield* Kernel
      return { _tag: "Keyed", wireGuard: yield* kernel.makeKey(action.epoch) } satisfies NetworkMessage
    }
    case "Lay": {
      const kernel = yield* Kernel
      const names = yield* Names
      const entrance = yield* Entrance
      const { tables, withdrawn, certificates = [], open, isLook = false } = action
      // What goes wrong here does so below, too, and is said then.
      if (withdrawn !== undefined) {
        const withdrawing = [kernel.withdraw(withdrawn, open), names.serve(withdrawn)]
        yield* Effect.all(withdrawing, { concurrency: "unbounded", discard: true })
      }
      const report = yield* kernel.lay(tables, open, isLook)
      if (report.gaveWay === true) return { _tag: "GaveWay" } satisfies NetworkMessage
      // Whoever is found by name or gets requests can be reached by then. What flowed before takes longer to be found.
      const [served, entered, settled] = yield* Effect.all(
        [names.serve(tables, isLook), entrance.serve(tables, certificates), kernel.settle(tables)],
        { concurrency: "unbounded" }
      )
      const problems = [...served.problems, ...entered, ...settled]
      return {
        _tag: "Laid",
        round: action.round,
        report,
        names: { ...served, problems }
      } satisfies NetworkMessage
    }
    case "GiveWay": {
      const kernel = yield* Kernel
      yield* kernel.giveWay
      return undefined
    }
    case "Warn":
      for (const problem of action.problems) yield* Effect.logWarning(problem)
      return undefined
    case "Complain":
      for (const { protocol, publishedPort, message } of action.problems) {
        yield* Effect.logWarning(
          protocol === ""
            ? `Cannot publish ports on this node: ${message}`
            : `Cannot publish ${protocol} port ${publishedPort} on this node: ${message}`
        )
      }
      return undefined
  }
})

const hindranceHere = Effect.gen(function* () {
  const kernel = yield* Kernel
  return hindranceOf({ WireGuard: yield* kernel.makeKey() })
})

const refusal = ({ id, name }: NetworkPlan, hindrance: string): NetworkMessage => ({
  _tag: "NotEnsured",
  id,
  message: `network ${name} is encrypted, which this node cannot do: ${hindrance}`,
  temporary: false
})

function perform(
  action: NetworkAction
): Effect.Effect<NetworkMessage | undefined, never, Executor | DataPlane> {
  return carryOut(action).pipe(
    Effect.catchTags({
      ExecutorError: ({ message, temporary }) => Effect.succeed(failure(action, message, temporary)),
      DataPlaneError: ({ message }) => Effect.succeed<NetworkMessage>({ _tag: "NotPublished", message })
    })
  )
}

function failure(action: NetworkAction, message: string, temporary: boolean): NetworkMessage {
  if (action._tag === "EnsureNetwork") return { _tag: "NotEnsured", id: action.plan.id, message, temporary }
  if (action._tag === "RemoveNetwork") return { _tag: "NetworkKept", id: action.id, message }
  return { _tag: "NotListed", message }
}
