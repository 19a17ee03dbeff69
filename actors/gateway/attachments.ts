/**
 * Containers that people attach to overlays themselves: the leader gives them addresses, and gets them back when the
 * container is gone. Of that this node's Engine is asked: it alone knows which containers there are.
 */
import { Effect, Schedule } from "effect"
import { networkLabel } from "#actors/drivers/labels.ts"
import type { EngineClientService } from "#actors/gateway/engine-client.ts"
import type { Gateway } from "#actors/gateway/gateway.ts"
import { askNetworkView } from "#actors/gateway/network-view.ts"
import { Refused, refuse } from "#actors/model/errors.ts"
import { type FromNode, ToNodeAnswer } from "#actors/node/protocol.ts"
import { address } from "#runtime/address.ts"
import type { SystemService } from "#runtime/system.ts"

export interface AttachmentOptions {
  readonly nodeId: string
  readonly fresh: Gateway["fresh"]
  readonly engine: Pick<EngineClientService, "call">
  readonly system: Pick<SystemService, "ask" | "tell">
}

export interface Attaching {
  /** Name or id. */
  readonly network: string
  readonly name?: string | undefined
  readonly aliases?: ReadonlyArray<string> | undefined
  readonly ipv4?: string | undefined
}

/** Where the container goes: the Engine's name for the bridge, and addresses without prefix length. */
export interface Joined {
  readonly bridge: string
  readonly addresses: ReadonlyArray<string>
}

const leaderWithinMs = 5_000
/** The leader's word, a bridge, and the kernel. */
const bridgeWithin = Schedule.spaced("25 millis").pipe(Schedule.upTo({ times: 400 }))
const lookEvery = Schedule.spaced("5 seconds")

export function makeAttachments({ nodeId, fresh, engine, system }: AttachmentOptions) {
  const leader = address("leader", "node", nodeId)
  const seen = () => askNetworkView(system, nodeId, leaderWithinMs)

  /** The Engine's name for the network's bridge, once it is there and reaches the other nodes. */
  const bridgeOf = Effect.fnUntraced(function* (networkId: string, id: string) {
    const view = yield* seen()
    const table = view.tables.find((one) => one.networkId === networkId)
    const isKnown = table?.services.some(({ serviceId }) => serviceId === id) === true
    const isLaid = !view.isLaying && !view.bridgeless.includes(networkId)
    if (isKnown && isLaid) {
      const { body } = yield* engine.call("GET", "/networks")
      const there = Array.isArray(body) ? (body as ReadonlyArray<EngineNetwork>) : []
      const bridge = there.find(({ Labels }) => Labels?.[networkLabel] === networkId)
      // The name is what a container remembers and `docker inspect` shows; two networks may share it.
      const isAlone = there.filter(({ Name }) => Name === bridge?.Name).length === 1
      if (bridge !== undefined) return isAlone ? bridge.Name : bridge.Id
    }
    const problem = view.problems[0] ?? "its bridge is not there yet"
    return yield* Refused.of(refuse("unavailable", `Could not attach to network ${networkId}: ${problem}`))
  })

  /** Asks the leader for addresses, and waits until the network is here. */
  const join = Effect.fn("gateway.attach")(
    function* ({ network, name, aliases, ipv4 }: Attaching) {
      const id = fresh.id()
      const request: FromNode = {
        _tag: "Attach",
        id,
        network,
        name: name === undefined || name === "" ? id : name,
        ...(aliases === undefined || aliases.length === 0 ? {} : { aliases }),
        ...(ipv4 === undefined ? {} : { ipv4 })
      }
      const answer = yield* system.ask<ToNodeAnswer>(leader, request, leaderWithinMs, ToNodeAnswer)
      if (answer._tag === "NotAttached") return yield* Refused.of(refuse(answer.code, answer.reason))
      if (answer._tag !== "AttachedAt") return yield* Refused.of(refuse("unknown", answer._tag))
      const bridge = yield* bridgeOf(answer.networkId, id).pipe(
        Effect.retry(bridgeWithin),
        Effect.tapError(() => Effect.sync(() => detach([id])))
      )
      return { bridge, addresses: answer.addresses } satisfies Joined
    },
    (joined, { network }) =>
      joined.pipe(
        Effect.catch((error: Error) =>
          Effect.fail(
            error instanceof Refused
              ? error
              : Refused.of(refuse("unavailable", `Could not attach to network ${network}: ${error.message}`))
          )
        )
      )
  )

  const detach = (attached: ReadonlyArray<string>): void =>
    system.tell(leader, { _tag: "Detach", attached } satisfies FromNode)

  /** Says which containers are gone that were there, or were to be, at the last look and this one. */
  let missing: ReadonlySet<string> = new Set()
  const look = Effect.gen(function* () {
    const { tables } = yield* seen()
    const own = tables.flatMap(({ services }) =>
      services.flatMap(({ serviceId, tasks }) =>
        tasks.filter((task) => task.taskId === serviceId && task.nodeId === nodeId)
      )
    )
    if (own.length === 0) return
    const { status, body } = yield* engine.call("GET", "/containers/json?all=true")
    if (status !== 200 || !Array.isArray(body)) return
    const held = heldBy(body as ReadonlyArray<Container>)
    const absent = own.filter(({ addresses }) => !addresses.some((one) => held.has(one)))
    const gone = absent.map(({ taskId }) => taskId).filter((id) => missing.has(id))
    missing = new Set(absent.map(({ taskId }) => taskId))
    if (gone.length > 0) detach(gone)
  }).pipe(Effect.ignore)

  return { join, look, tend: Effect.repeat(look, lookEvery) }
}

export type Attachments = ReturnType<typeof makeAttachments>

interface EngineNetwork {
  readonly Id: string
  readonly Name: string
  readonly Labels?: Readonly<Record<string, string>> | null
}
interface Container {
  readonly NetworkSettings?: {
    readonly Networks?: Readonly<Record<string, Endpoint | null>> | null
  } | null
}
interface Endpoint {
  readonly IPAddress?: string
  readonly IPAMConfig?: { readonly IPv4Address?: string } | null
}

/** A container that does not run has the address that it asked for. */
function heldBy(containers: ReadonlyArray<Container>): ReadonlySet<string> {
  const held = new Set<string>()
  for (const { NetworkSettings } of containers) {
    for (const endpoint of Object.values(NetworkSettings?.Networks ?? {})) {
      held.add(endpoint?.IPAMConfig?.IPv4Address ?? "").add(endpoint?.IPAddress ?? "")
    }
  }
  return held
}
