/** At which of a node's addresses a service's published ports are open: at all of them, unless a label of it says where. */

import { isIngress } from "#actors/model/service-facts.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { overlap, parseAddress, parseSubnet, type Subnet, showSubnet } from "#actors/network/ip.ts"

export const publishLabel = "troupe.publish.ip"

/** The subnets of which a node's addresses must be, as CIDRs; `undefined` where every address will do. */
export function publishedAt(labels: ServiceSpec["Labels"]): ReadonlyArray<string> | undefined {
  const text = labels?.[publishLabel]
  const subnets = text === undefined ? undefined : subnetsIn(text)
  return subnets?.map(showSubnet)
}

/** Why the label cannot be meant as it stands. */
export function checkPublish({ Labels, EndpointSpec }: ServiceSpec): string | undefined {
  const text = Labels?.[publishLabel]
  if (text === undefined) return undefined
  const label = `label ${publishLabel} ${JSON.stringify(text)}`
  if (subnetsIn(text) === undefined)
    return `${label}: expected addresses or subnets of nodes, like "192.168.1.5" or "192.168.1.0/24, fd00::/64"`
  const host = (EndpointSpec?.Ports ?? []).find((port) => !isIngress(port))
  return host === undefined
    ? undefined
    : `${label}: expected ports in ingress mode, but port ${host.TargetPort} is in host mode`
}

/** Whether two services may both publish a port: never at the same address. */
export function areApart(one: ServiceSpec["Labels"], other: ServiceSpec["Labels"]): boolean {
  const [left, right] = [one, other].map((labels) => subnetsIn(labels?.[publishLabel] ?? ""))
  if (left === undefined || right === undefined) return false
  return !left.some((mine) => right.some((theirs) => overlap(mine, theirs)))
}

/** `undefined` where any of them is neither an address nor a subnet, or there is none. */
function subnetsIn(text: string): ReadonlyArray<Subnet> | undefined {
  const subnets = text.split(",").map((part) => subnetOf(part.trim()))
  return subnets.every((subnet) => subnet !== undefined) ? subnets : undefined
}

function subnetOf(text: string): Subnet | undefined {
  const address = parseAddress(text)
  return address === undefined ? parseSubnet(text) : parseSubnet(`${text}/${address.family === 4 ? 32 : 128}`)
}
