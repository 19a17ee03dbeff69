/** The addresses of every network and who has them, for one turn of the allocator. */

import { addressesOn } from "#actors/ledger/addresses-on.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { withoutPrefix } from "#actors/model/cidr.ts"
import type { Network } from "#actors/model/objects.ts"
import { parseAddress, parseSubnet, type Subnet, showAddress } from "#actors/network/ip.ts"
import { manualRange } from "#actors/network/manual-range.ts"

interface Range {
  readonly subnet: Subnet
  readonly first: bigint
  readonly last: bigint
  readonly used: Set<bigint>
  /** Where the search goes on: one after the address given last. */
  next: bigint
  /** No node is given one above it: none is free there, or it is too far. */
  top: bigint
}

/** Which addresses of each network are in use; read from the ledger once per network and turn. */
export class AddressBook {
  readonly #ledger: LedgerReader
  readonly #ranges = new Map<string, ReadonlyArray<Range>>()

  constructor(ledger: LedgerReader) {
    this.#ledger = ledger
  }

  /** One free address per subnet of the network, as CIDRs; `undefined` when a subnet has none left. */
  take(network: Network): ReadonlyArray<string> | undefined {
    return this.#take(network, takeFrom)
  }

  /**
   * The same for a node, from the other end: an Engine keeps a bridge's address for as long as a container is left that
   * never started, so no task may soon be given what a node let go of, and the node had best get it again.
   */
  takeLast(network: Network): ReadonlyArray<string> | undefined {
    return this.#take(network, takeLastFrom)
  }

  #take(network: Network, from: (range: Range) => bigint | undefined): ReadonlyArray<string> | undefined {
    const found: Array<string> = []
    for (const range of this.#of(network)) {
      const value = from(range)
      if (value === undefined) return undefined
      found.push(`${showAddress(range.subnet.family, value)}/${range.subnet.prefix}`)
    }
    return found
  }

  #of(network: Network): ReadonlyArray<Range> {
    const known = this.#ranges.get(network.ID)
    if (known !== undefined) return known
    const ranges = (network.IPAM.Config ?? []).flatMap((config) => rangeOf(config, network.Attachable) ?? [])
    for (const address of addressesOn(this.#ledger, network.ID)) {
      for (const range of ranges) {
        const value = valueIn(range, address)
        if (value !== undefined) range.used.add(value)
      }
    }
    let newest = ""
    for (const { Attachments, CreatedAt: born } of this.#ledger.tasksOnNetwork(network.ID)) {
      const attachment = Attachments?.find((candidate) => candidate.NetworkID === network.ID)
      for (const cidr of attachment?.Addresses ?? []) {
        for (const range of ranges) {
          const value = valueIn(range, cidr)
          if (value !== undefined && born >= newest) range.next = value + 1n
        }
      }
      if (born > newest) newest = born
    }
    this.#ranges.set(network.ID, ranges)
    return ranges
  }
}

/** An Engine (20.10) refuses the last addresses of an IPv6 /64: `bit does not belong to the sequence`. */
const farthest = 0xfffen

/** What tasks are given from; the Engine's own range of an attachable network is left out. */
function rangeOf(
  config: NonNullable<Network["IPAM"]["Config"]>[number],
  attachable: boolean
): Range | undefined {
  const subnet = parseSubnet(config.Subnet ?? "")
  if (subnet === undefined) return undefined
  const within = parseSubnet(config.IPRange ?? "") ?? subnet
  // IPv4 keeps its first address for the network and its last for broadcast.
  const last = within.base + within.size - 1n
  const broadcast = subnet.base + subnet.size - 1n
  const first = within.base === subnet.base ? within.base + 1n : within.base
  const highest = subnet.family === 4 && last === broadcast ? last - 1n : last
  const manual = attachable ? manualRange(subnet) : undefined
  const end = manual !== undefined && highest >= manual.base ? manual.base - 1n : highest
  const low = first + farthest
  const top = subnet.family === 6 && end > low ? low : end
  return { subnet, first, last: end, used: new Set(), next: first, top }
}

function valueIn(range: Range, cidr: string): bigint | undefined {
  const address = parseAddress(withoutPrefix(cidr))
  if (address === undefined || address.family !== range.subnet.family) return undefined
  return address.value >= range.first && address.value <= range.last ? address.value : undefined
}

function takeFrom(range: Range): bigint | undefined {
  const count = range.last - range.first + 1n
  if (BigInt(range.used.size) > count) return undefined
  for (let step = 0n; step < count; step++) {
    const value = range.first + ((range.next - range.first + step) % count)
    if (range.used.has(value)) continue
    range.used.add(value)
    range.next = value + 1n
    return value
  }
  return undefined
}

function takeLastFrom(range: Range): bigint | undefined {
  while (range.used.has(range.top)) range.top -= 1n
  if (range.top < range.first) return undefined
  range.used.add(range.top)
  return range.top
}
