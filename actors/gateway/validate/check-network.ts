/** Whether a network can be made as asked: its name, its driver, and addresses that fit into each other. */

import { predefinedLabel } from "#actors/drivers/labels.ts"
import { checkName } from "#actors/gateway/validate/check-name.ts"
import { featureLevelOf, levelOf } from "#actors/ledger/features.ts"
import { withoutPrefix } from "#actors/model/cidr.ts"
import { type Refusal, refuse, rpc } from "#actors/model/errors.ts"
import { hindranceOf, isEncrypted } from "#actors/model/network-keys.ts"
import type { Network, Node } from "#actors/model/objects.ts"
import type { IpamConfig, NetworkCreateRequest } from "#actors/model/spec.ts"
import { holds, overlap, parseAddress, parseSubnet, showSubnet } from "#actors/network/ip.ts"

const invalid = (text: string): Refusal => rpc("invalidArgument", text)
const predefined: ReadonlySet<string> = new Set(["bridge", "host", "none", "default"])

/** True when the request is ours to answer: an overlay, or anything else that is to span the cluster. */
export const isOurs = (request: NetworkCreateRequest): boolean =>
  request.Driver === "overlay" || request.Scope === "swarm"

export function checkNetwork(request: NetworkCreateRequest): Refusal | undefined {
  if (predefined.has(request.Name ?? "")) {
    return refuse("forbidden", `${request.Name} is a pre-defined network and cannot be created`)
  }
  if (request.Attachable === true && request.Ingress === true) {
    return invalid("ingress network cannot be attachable")
  }
  const name = checkName(request.Name)
  if (name !== undefined) return name
  if (predefinedLabel in (request.Labels ?? {})) {
    return rpc(
      "forbidden",
      `label ${predefinedLabel} is for internally created predefined networks and cannot be applied by users`
    )
  }
  if (request.ConfigOnly === true || (request.ConfigFrom?.Network ?? "") !== "") {
    return refuse("notImplemented", "networks of the swarm with ConfigOnly or ConfigFrom are not supported")
  }
  const driver = request.Driver ?? ""
  if (driver !== "" && driver !== "overlay") {
    return refuse("notImplemented", `network driver ${driver} is not supported in the swarm: use overlay`)
  }
  const ipam = request.IPAM?.Driver ?? ""
  if (ipam !== "" && ipam !== "default") {
    return refuse("notImplemented", `IPAM driver ${ipam} is not supported in the swarm: use default`)
  }
  for (const config of request.IPAM?.Config ?? []) {
    const refusal = checkIpam(config)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

/** A network whose subnet is another's would get none, and its tasks would wait without a word until that one is gone. */
export function checkSubnets(
  { IPAM }: NetworkCreateRequest,
  networks: Iterable<Network>
): Refusal | undefined {
  const asked = (IPAM?.Config ?? []).flatMap(({ Subnet = "" }) => parseSubnet(Subnet) ?? [])
  for (const { Name: name, IPAM: ipam } of networks) {
    for (const { Subnet: taken = "" } of ipam.Config ?? []) {
      const other = parseSubnet(taken)
      const same = other && asked.find((subnet) => overlap(subnet, other))
      if (same)
        return invalid(
          `ipam configuration: subnet ${showSubnet(same)} overlaps with ${taken} of network ${name}`
        )
    }
  }
  return undefined
}

/** An encrypted network needs one node at least that can encrypt; tasks on it are rejected by the others. */
export function checkEncryption(
  { Name: name, Options: options }: NetworkCreateRequest,
  nodes: Iterable<Node>
): Refusal | undefined {
  if (!isEncrypted(options ?? {})) return undefined
  const hindrances: Array<string> = []
  for (const node of nodes) {
    const { ID, Description } = node
    if (Description === undefined) continue
    const hindrance = hindranceOf(Description)
    // One that has just begun says so a moment later.
    const isUnsaid = Description.WireGuard === undefined && featureLevelOf(node) >= levelOf["cluster.keys"]
    if (hindrance === undefined || isUnsaid) return undefined
    hindrances.push(`${Description.Hostname || ID}: ${hindrance}`)
  }
  return rpc(
    "failedPrecondition",
    `network ${name}: option encrypted: expected a node that runs WireGuard, and none does (${hindrances.sort().join("; ")})`
  )
}

function checkIpam({
  Subnet: subnet = "",
  IPRange: range = "",
  Gateway: gateway = ""
}: IpamConfig): Refusal | undefined {
  const whole = parseSubnet(subnet)
  if (whole === undefined) return invalid(`ipam configuration: invalid subnet ${subnet}`)
  if (range !== "") {
    const first = parseAddress(withoutPrefix(range))
    if (first === undefined || parseSubnet(range) === undefined)
      return invalid(`ipam configuration: invalid range ${range}`)
    if (!holds(whole, first)) {
      return invalid(`ipam configuration: subnet ${subnet} does not contain range ${range}`)
    }
  }
  if (gateway !== "") {
    const address = parseAddress(gateway)
    if (address === undefined) return invalid(`ipam configuration: invalid gateway ${gateway}`)
    if (!holds(whole, address)) {
      return invalid(`ipam configuration: subnet ${subnet} does not contain gateway ${gateway}`)
    }
  }
  return undefined
}
