/**
 * Overlays as this Engine sees them: one bridge network each, known by a label, never by its name, because a name
 * may also be somebody else's. Everything outside speaks of the Engine's id.
 */
import { Effect, Semaphore } from "effect"
import type { EngineClientService } from "#actors/drivers/engine/client.ts"
import { asFilters } from "#actors/drivers/engine/containers.ts"
import { Created, type EngineNetwork, EngineNetworks, Listed } from "#actors/drivers/engine/shapes.ts"
import { understand } from "#actors/drivers/engine/understand.ts"
import { ExecutorError } from "#actors/drivers/executor.ts"
import { bridgeName } from "#actors/drivers/kernel/names.ts"
import { networkLabel } from "#actors/drivers/labels.ts"
import { overlap, parseSubnet, showSubnet } from "#actors/network/ip.ts"
import { manualRange } from "#actors/network/manual-range.ts"
import { mtuOf, mtuOption, type NetworkPlan } from "#actors/network/plan.ts"

/** Options of an overlay that mean the same on a bridge; others, such as `encrypted`, are not the bridge's. */
const isBridgeOption = (key: string): boolean => key.startsWith("com.docker.network.bridge.")

const bridgeOption = "com.docker.network.bridge.name"

export function makeNetworks(
  client: EngineClientService,
  own: Readonly<Record<string, string>>,
  marks: Readonly<Record<string, string>>
) {
  // One at a time: thirty tasks that want the same overlay make it once.
  const alone = Semaphore.makeUnsafe(1)

  const search = (filters: object) =>
    client
      .call({
        operation: "networks",
        method: "GET",
        path: "/networks",
        query: { filters: JSON.stringify(filters) }
      })
      .pipe(Effect.flatMap(understand("networks", EngineNetworks)))
  const ours = search({ label: [networkLabel, ...asFilters(own)] })
  const idOf = (network: EngineNetwork): string => network.Labels?.[networkLabel] ?? ""

  /**
   * How many containers hold it. The Engine itself counts only running ones; one that is made but not started knows
   * the network by its name alone, and could not start without it.
   */
  const users = ({ Id, Name }: EngineNetwork) =>
    client
      .call({
        operation: "networks",
        method: "GET",
        path: "/containers/json",
        query: {
          all: true,
          filters: JSON.stringify({
            network: [Id, Name],
            status: ["created", "restarting", "running", "paused"]
          })
        }
      })
      .pipe(
        Effect.flatMap(understand("networks", Listed)),
        Effect.map((containers) =>
          // The filter also takes what an id begins with.
          containers.filter(({ NetworkSettings }) =>
            Object.entries(NetworkSettings?.Networks ?? {}).some(
              ([name, endpoint]) => endpoint?.NetworkID === Id || (name === Name && !endpoint?.NetworkID)
            )
          )
        ),
        Effect.map((containers) => containers.length)
      )

  const removeUnused = (network: EngineNetwork) =>
    Effect.gen(function* () {
      const holders = yield* users(network)
      if (holders > 0) return yield* inUse(network, `it is used by ${holders} containers`)
      yield* client
        .call({
          operation: "remove network",
          method: "DELETE",
          path: `/networks/${network.Id}`,
          fine: [404]
        })
        .pipe(
          Effect.catchIf(
            ({ status }) => status === 403,
            ({ message }) => inUse(network, message)
          )
        )
    })

  const make = (plan: NetworkPlan, name: string) =>
    client
      .call({
        operation: "ensure network",
        method: "POST",
        path: "/networks/create",
        body: {
          Name: name,
          CheckDuplicate: true,
          Driver: "bridge",
          Internal: plan.internal,
          Attachable: plan.attachable,
          EnableIPv6: plan.ipv6,
          IPAM: {
            Driver: "default",
            Config: plan.subnets.map(({ subnet, gateway }) => ({
              Subnet: subnet,
              Gateway: gateway,
              ...rangeOf(plan, subnet)
            }))
          },
          Options: {
            ...Object.fromEntries(Object.entries(plan.options).filter(([key]) => isBridgeOption(key))),
            [mtuOption]: String(mtuOf(plan.options)),
            [bridgeOption]: bridgeName(plan.id)
          },
          Labels: { ...plan.labels, ...marks, ...own, [networkLabel]: plan.id }
        }
      })
      .pipe(
        Effect.flatMap(understand("ensure network", Created)),
        Effect.catchIf(
          ({ status }) => status !== undefined && status !== 409,
          (error) => Effect.flatMap(search({}), (all) => Effect.fail(inTheWay(error, plan, all)))
        )
      )

  const ensure = Effect.fn("engine.ensureNetwork")(function* (plan: NetworkPlan) {
    const there = yield* ours
    for (const network of there.filter((network) => idOf(network) === plan.id)) {
      if (hasGateways(network, plan)) return network.Id
      // One with another gateway goes with its last container; until then the bridge has both addresses.
      const isGone = yield* removeUnused(network).pipe(
        Effect.as(true),
        Effect.catchIf(
          (error) => isInUse(error) && hasSubnets(network, plan),
          () => Effect.succeed(false)
        )
      )
      if (!isGone) return network.Id
    }
    // Left over from an overlay that was removed, and whose name or addresses this one was given. The Engine can have
    // names twice, but no address: this network waits for the last container of the other one.
    for (const network of there.filter((network) => idOf(network) !== plan.id)) {
      const mustGo = overlaps(network, plan)
      if (!mustGo && network.Name !== plan.name) continue
      yield* Effect.catchIf(
        removeUnused(network),
        (error) => isInUse(error) && !mustGo,
        () => Effect.void
      )
    }
    const made = yield* make(plan, plan.name).pipe(
      // Somebody else's network of that name is left alone. Names must differ, because the Engine, though told an id,
      // looks a container's network up by name when it starts it.
      Effect.catchIf(
        ({ status }) => status === 409,
        () => make(plan, `${plan.name}-${plan.id.slice(0, 10)}`)
      )
    )
    return made.Id
  })

  return {
    ensure: (plan: NetworkPlan) => alone.withPermits(1)(ensure(plan)),
    remove: (networkId: string) =>
      alone.withPermits(1)(
        Effect.gen(function* () {
          for (const network of yield* ours) {
            if (idOf(network) === networkId || network.Id === networkId) yield* removeUnused(network)
          }
        })
      ),
    list: Effect.map(ours, (networks) => networks.map(idOf))
  }
}

/** Where the Engine itself may choose: see `manual-range.ts`. */
const rangeOf = (plan: NetworkPlan, text: string): { readonly IPRange?: string } => {
  const subnet = plan.attachable ? parseSubnet(text) : undefined
  const range = subnet === undefined ? undefined : manualRange(subnet)
  return range === undefined ? {} : { IPRange: showSubnet(range) }
}

const hasGateways = (network: EngineNetwork, plan: NetworkPlan): boolean => {
  const actual = (network.IPAM?.Config ?? []).map(({ Subnet, Gateway }) => `${Subnet} ${Gateway}`)
  return plan.subnets.every(({ subnet, gateway }) => actual.includes(`${subnet} ${gateway}`))
}

/** Whatever the gateways. */
const hasSubnets = (network: EngineNetwork, plan: NetworkPlan): boolean => {
  const actual = (network.IPAM?.Config ?? []).map(({ Subnet }) => Subnet ?? "")
  return plan.subnets.every(({ subnet }) => actual.includes(subnet))
}

const overlaps = (network: EngineNetwork, plan: NetworkPlan): boolean => {
  const actual = (network.IPAM?.Config ?? []).flatMap(({ Subnet }) => parseSubnet(Subnet ?? "") ?? [])
  const planned = plan.subnets.flatMap(({ subnet }) => parseSubnet(subnet) ?? [])
  return actual.some((one) => planned.some((other) => overlap(one, other)))
}

/** The Engine's own words, and whose addresses the plan's are. */
function inTheWay(error: ExecutorError, plan: NetworkPlan, all: ReadonlyArray<EngineNetwork>): ExecutorError {
  const holders = all.filter((network) => overlaps(network, plan))
  if (holders.length === 0) return error
  const wanted = plan.subnets.map(({ subnet }) => subnet).join(", ")
  const found = holders.map(({ Id, Name, IPAM }) => {
    const subnets = (IPAM?.Config ?? []).map(({ Subnet }) => Subnet).join(", ")
    return `${Name} (${Id.slice(0, 12)}) has ${subnets}`
  })
  const message = `${error.message}: network ${plan.name} wants ${wanted}, but this machine's network ${found.join(", ")}; remove that one there, or give the cluster another --default-addr-pool`
  return new ExecutorError({ ...error, message })
}

const inUse = (network: EngineNetwork, why: string) =>
  new ExecutorError({
    operation: "remove network",
    status: 403,
    temporary: true,
    message: `network ${network.Name} cannot be removed: ${why}`
  })
const isInUse = ({ status }: ExecutorError): boolean => status === 403
