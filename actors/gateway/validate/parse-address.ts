/** IPv4 and IPv6 addresses and subnets, as numbers that can be compared. */

export interface Address {
  readonly bits: 32 | 128
  readonly value: bigint
}
export interface Cidr {
  readonly address: Address
  readonly length: number
}

/** An address in any textual form, or `undefined`. */
export function parseAddress(text: string): Address | undefined {
  if (text.includes(":")) {
    const value = parseV6(text)
    return value === undefined ? undefined : { bits: 128, value }
  }
  const value = parseV4(text)
  return value === undefined ? undefined : { bits: 32, value }
}

/** `10.0.0.0/24`; bits beyond the prefix may be set, as in Go. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text)
  const address = parseAddress(match?.[1] ?? "")
  const length = Number(match?.[2])
  return address === undefined || length > address.bits ? undefined : { address, length }
}

export function contains(subnet: Cidr, address: Address): boolean {
  if (subnet.address.bits !== address.bits) return false
  const shift = BigInt(address.bits - subnet.length)
  return subnet.address.value >> shift === address.value >> shift
}

function parseV4(text: string): bigint | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (match === null) return undefined
  let value = 0n
  for (const part of match.slice(1)) {
    if (Number(part) > 255 || (part.length > 1 && part.startsWith("0"))) return undefined
    value = (value << 8n) | BigInt(part)
  }
  return value
}

function parseV6(text: string): bigint | undefined {
  const halves = text.split("::")
  if (halves.length > 2) return undefined
  const left = groupsOf(halves[0] ?? "")
  const right = halves.length === 2 ? groupsOf(halves[1] ?? "") : []
  if (left === undefined || right === undefined) return undefined
  const missing = 8 - left.length - right.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  const groups = [...left, ...Array<number>(missing).fill(0), ...right]
  return groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n)
}

/** The 16-bit groups of one side of `::`; the last may be an IPv4 address. */
function groupsOf(text: string): ReadonlyArray<number> | undefined {
  if (text === "") return []
  const groups: Array<number> = []
  const parts = text.split(":")
  for (const [at, part] of parts.entries()) {
    if (at === parts.length - 1 && part.includes(".")) {
      const value = parseV4(part)
      if (value === undefined) return undefined
      groups.push(Number(value >> 16n), Number(value & 0xffffn))
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16))
    else return undefined
  }
  return groups
}
