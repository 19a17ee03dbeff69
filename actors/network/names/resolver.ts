/** Whom a task asks for names, as it is told when its networks are there. */
import type { ResolvConf } from "#actors/network/names/resolv-conf.ts"
import type { OverlayTable } from "#actors/network/table.ts"

export interface TaskResolver {
  /** The node's own address on one of the task's networks; it answers over all of them. */
  readonly nameserver: string
  readonly host: ResolvConf
}

/** `undefined` where the task is on no overlay, or the node answers no names. The ingress network is the last choice. */
export function chooseResolver(
  tables: ReadonlyArray<OverlayTable>,
  networkIds: ReadonlySet<string>,
  host: ResolvConf | undefined
): TaskResolver | undefined {
  if (host === undefined) return undefined
  const own = tables.filter(({ networkId }) => networkIds.has(networkId))
  const [first] = [...own.filter(({ ingress }) => !ingress), ...own].flatMap(({ subnets }) =>
    subnets.filter(({ gateway }) => !gateway.includes(":"))
  )
  return first && { nameserver: first.gateway, host }
}
