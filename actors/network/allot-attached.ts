/**
 * The addresses of a container that people attach to a network, or why it gets none. They are of a range that no task
 * gets (`manual-range.ts`), so that they may be given beside the allocator; the ledger judges that nobody has them.
 */
import { addressesOn } from "#actors/ledger/addresses-on.ts"
import { levelOf } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"
import type { Network } from "#actors/model/objects.ts"
import { holds, parseAddress, parseSubnet, type Subnet, showAddress, showSubnet } from "#actors/network/ip.ts"
import { manualRange } from "#actors/network/manual-range.ts"

/** The cluster keeps such containers; before, each Engine chose for itself. */
export const keepsAttached = (ledger: LedgerReader): boolean =>
  (ledger.cluster()?.FeatureLevel ?? 0) >= levelOf["node.attach"]

/** Why nobody may be attached to `network`, or not at the address that was asked for. */
export function refuseAttaching(network: Network, ipv4: string | undefined): Refusal | undefined {
  const { Name: name } = network
  if (!network.Attachable) {
    return refuse(
      "forbidden",
      `Could not attach to network ${name}: rpc error: code = PermissionDenied desc = network ${name} not manually attachable`
    )
  }
  const subnets = subnetsOf(network)
  const [first] = subnets
  if (network.Vni === undefined || first === undefined) {
    return refuse(
      "unavailable",
      `Could not attach to network ${name}: its addresses are not allotted yet; try again`
    )
  }
  const ranges = subnets.flatMap((subnet) => manualRange(subnet) ?? [])
  if (ranges.length === 0) {
    return refuse(
      "invalidArgument",
      `Could not attach to network ${name}: its subnet ${showSubnet(first)} is too small for containers beside tasks`
    )
  }
  const address = ipv4 === undefined ? undefined : parseAddress(ipv4)
  if (ipv4 !== undefined && (address === undefined || !ranges.some((range) => holds(range, address)))) {
    return refuse(
      "invalidArgument",
      `invalid address ${ipv4}: containers attached to network ${name} by hand have addresses in ${ranges.map(showSubnet).join(" or ")}; the others belong to tasks`
    )
  }
  return undefined
}

/** One address per subnet, of which the IPv4 one may be asked for; not the first `passed` of those that are free. */
export function attachedAddresses(
  ledger: LedgerReader,
  network: Network,
  ipv4: string | undefined,
  passed = 0
): ReadonlyArray<string> | Refusal {
  const refused = refuseAttaching(network, ipv4)
  if (refused !== undefined) return refused
  const taken = addressesOn(ledger, network.ID)
  if (ipv4 !== undefined && taken.has(ipv4)) return refuse("forbidden", "Address already in use")
  const asked = ipv4 === undefined ? undefined : parseAddress(ipv4)
  const found: Array<string> = []
  for (const subnet of subnetsOf(network)) {
    const range = manualRange(subnet)
    if (range === undefined) continue
    const address = asked !== undefined && holds(range, asked) ? ipv4 : freeIn(range, subnet, taken, passed)
    if (address === undefined) {
      return refuse(
        "unavailable",
        `Could not attach to network ${network.Name}: no address left in ${showSubnet(range)}`
      )
    }
    found.push(address)
  }
  return found
}

const subnetsOf = (network: Network): ReadonlyArray<Subnet> =>
  (network.IPAM.Config ?? []).flatMap(({ Subnet }) => parseSubnet(Subnet ?? "") ?? [])

function freeIn(
  range: Subnet,
  subnet: Subnet,
  taken: ReadonlySet<string>,
  passed: number
): string | undefined {
  const end = range.base + range.size
  // IPv4 keeps the last address of a subnet for broadcast.
  const last = subnet.family === 4 && end === subnet.base + subnet.size ? end - 1n : end
  const free: Array<string> = []
  for (let value = range.base; value < last && free.length <= passed; value++) {
    const address = showAddress(range.family, value)
    if (!taken.has(address)) free.push(address)
  }
  return free[passed % free.length]
}
