/** All rules that this node has in its kernel: the firewall, virtual addresses and published ports, brought as one. */
import { Effect } from "effect"
import { describe, type Facts } from "#actors/drivers/firewall/describe.ts"
import { LetThrough } from "#actors/drivers/firewall/let-through.ts"
import { countedEndpoints, countRules, hostCounter, parseCounts } from "#actors/drivers/kernel/count.ts"
import { Flows, hasConntrack } from "#actors/drivers/kernel/flows.ts"
import { doorsOf, ingressRules, reachable, targetsOf } from "#actors/drivers/kernel/ingress.ts"
import { countTable, firewallTable, ingressTable, vipTable } from "#actors/drivers/kernel/names.ts"
import { OwnTables } from "#actors/drivers/kernel/own-tables.ts"
import { Reached } from "#actors/drivers/kernel/reached.ts"
import { run } from "#actors/drivers/kernel/run.ts"
import { vipRules } from "#actors/drivers/kernel/vips.ts"
import { waysOf } from "#actors/drivers/kernel/ways.ts"
import { type Endpoint, type Led, nothingLed, type PortEndpoint } from "#actors/drivers/led.ts"
import type { OverlayTable } from "#actors/network/table.ts"

const unled = "published ports are carried by a process alone"

export class NodeRules {
  readonly #facts: Facts
  readonly #tables: OwnTables
  readonly #letThrough: LetThrough
  readonly #flows = new Flows()
  readonly #reached = new Reached()
  #forgets: boolean | undefined
  #counted: Led["endpoints"] = nothingLed.endpoints
  #hosted: ReadonlyArray<PortEndpoint> = []

  constructor(facts: Facts) {
    this.#facts = facts
    this.#tables = new OwnTables(undefined, [countTable(facts.nodeId)])
    this.#letThrough = new LetThrough(facts.nodeId)
  }

  /** Makes them as the overlays and the ports that are open say. Yields how many were not so already, and what is not. */
  readonly bring = Effect.fnUntraced(function* (
    this: NodeRules,
    overlays: ReadonlyArray<OverlayTable>,
    open: ReadonlyArray<string> | undefined,
    tunnelPorts: ReadonlyArray<number>,
    isLook: boolean
  ) {
    const { nodeId } = this.#facts
    const [firewall, vips, ingress] = [firewallTable(nodeId), vipTable(nodeId), ingressTable(nodeId)]
    const count = countTable(nodeId)
    const problems: Array<string> = []
    const note =
      (what: string) =>
      ({ message }: { readonly message: string }) =>
        Effect.sync(() => {
          problems.push(`${what}: ${message}`)
          return false
        })
    const forgets = yield* this.#forgetting()
    const ports = overlays.length === 0 ? [] : open
    const ways = waysOf(forgets)
    const doors = doorsOf(overlays, ports ?? [], ways)
    const isReached = yield* Effect.interruptible(this.#reached.try(targetsOf(doors)))
    const led = ingressRules(overlays, reachable(doors, this.#reached.keys), ways, nodeId)
    this.#counted = countedEndpoints(overlays, ports ?? [])
    // Nothing is led where it would be dropped: the data plane carries everything then.
    const isPublished = ports !== undefined && ports.length > 0 && overlays.some(({ ingress }) => ingress)
    const isLet =
      isPublished &&
      (yield* this.#letThrough.bring(true, isLook).pipe(Effect.as(true), Effect.catch(note(unled))))
    const { changed, failed } = yield* this.#tables.bring(
      new Map([
        [firewall, describe(overlays, this.#facts, tunnelPorts)],
        [vips, vipRules(overlays, nodeId)],
        [count, this.#counted.size + this.#hosted.length > 0 ? countRules(nodeId) : undefined],
        ...(ports === undefined ? [] : [[ingress, isLet ? led : undefined] as const])
      ]),
      isLook
    )
    for (const [table, what] of [
      [firewall, "overlays are not kept apart"],
      [vips, "virtual addresses lead nowhere"],
      [ingress, unled],
      [count, "connections are not counted"]
    ] as const) {
      const message = failed.get(table)
      if (message !== undefined) problems.push(`${what}: ${message}`)
    }
    // Rather none than those of before.
    if (failed.has(ingress)) yield* this.#tables.bring(new Map([[ingress, undefined]]), isLook)
    if (ports !== undefined && !isPublished)
      yield* this.#letThrough.bring(false, isLook).pipe(Effect.catch(note("a rule of ours stays")))
    return { changed: changed.size, problems, isWaiting: !isReached }
  })

  /** The rules that lead to tasks, as these overlays say, where there are any; nothing is read, nor said of what fails. */
  readonly withdraw = Effect.fnUntraced(function* (
    this: NodeRules,
    overlays: ReadonlyArray<OverlayTable>,
    open: ReadonlyArray<string> | undefined
  ) {
    const { nodeId } = this.#facts
    const ways = waysOf(yield* this.#forgetting())
    const led = (ports: ReadonlyArray<string>) => {
      const reached = reachable(doorsOf(overlays, ports, ways), this.#reached.keys)
      return [ingressTable(nodeId), ingressRules(overlays, reached, ways, nodeId)] as const
    }
    yield* this.#tables.amend(
      new Map([[vipTable(nodeId), vipRules(overlays, nodeId)], ...(open === undefined ? [] : [led(open)])])
    )
  })

  /** Once the rules lead nobody new there. */
  readonly settle = (overlays: ReadonlyArray<OverlayTable>): Effect.Effect<ReadonlyArray<string>> =>
    this.#forgetting().pipe(
      Effect.flatMap((forgets) => (forgets ? this.#flows.settle(overlays) : Effect.void)),
      Effect.match({ onSuccess: () => [], onFailure: ({ message }) => [`old flows stay: ${message}`] })
    )

  /** Where it has written no table, nothing was counted yet: writing it begins all counters. */
  readonly count = Effect.fnUntraced(function* (this: NodeRules, hosted: ReadonlyArray<PortEndpoint>) {
    const { nodeId } = this.#facts
    const table = countTable(nodeId)
    this.#hosted = hosted
    const endpoints = new Map([
      ...this.#counted,
      ...hosted.map((port) => [hostCounter(port), port as Endpoint] as const)
    ])
    if (!this.#tables.has(table)) {
      if (hosted.length === 0) return { ...nothingLed, endpoints }
      // The node may take part in no overlay, for which the rules would be brought.
      yield* this.#tables.bring(new Map([[table, countRules(nodeId)]]), false)
    }
    return yield* run("nft", ["-j", "list", "table", "inet", table], "").pipe(
      Effect.flatMap((listed) => parseCounts(listed, this.#counted)),
      Effect.match({ onSuccess: (counts): Led => ({ counts, endpoints }), onFailure: () => undefined })
    )
  })

  readonly #forgetting = Effect.fnUntraced(function* (this: NodeRules) {
    this.#forgets ??= yield* hasConntrack
    return this.#forgets
  })
}
