/**
 * Addresses and subnets as integers, which is what allotting them needs; text is read and written by Effect's
 * `net` modules, the one place where those (marked unstable) are used.
 */
import { Result } from "effect"
import * as NetAddress from "effect/net/NetAddress"

export interface Address {
  readonly family: 4 | 6
  readonly value: bigint
}

export interface Subnet {
  readonly family: 4 | 6
  /** The first address, host bits zero. */
  readonly base: bigint
  readonly prefix: number
  /** How many addresses it has. */
  readonly size: bigint
}

const widthOf = (family: 4 | 6): number => (family === 4 ? 32 : 128)
const joined = (bytes: ReadonlyArray<number>): bigint =>
  bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)

/** `10.0.0.1`, `[fd00::1]`: an address as it stands before a port. */
export const bracketed = (address: string): string => (address.includes(":") ? `[${address}]` : address)

/** Reads `10.0.0.1` or `fd00::1`; `undefined` when it is neither. */
export function parseAddress(text: string): Address | undefined {
  const parsed = NetAddress.ipFromString(text)
  if (Result.isFailure(parsed)) return undefined
  const ip = parsed.success
  return ip._tag === "Ipv4Address"
    ? { family: 4, value: joined(NetAddress.ipv4ToOctets(ip)) }
    : { family: 6, value: joined(NetAddress.ipv6ToOctets(ip)) }
}

/** Whether both name one address, however it is written; what is no address is like nothing. */
export function isSameAddress(left: string, right: string): boolean {
  const [one, other] = [parseAddress(left), parseAddress(right)]
  return one !== undefined && one.family === other?.family && one.value === other.value
}

/** Reads `10.0.1.0/24`, host bits allowed and dropped; `undefined` when it is no subnet. */
export function parseSubnet(text: string): Subnet | undefined {
  const slash = text.indexOf("/")
  const address = slash < 0 ? undefined : parseAddress(text.slice(0, slash))
  const digits = text.slice(slash + 1)
  if (address === undefined || !/^\d{1,3}$/.test(digits)) return undefined
  const width = widthOf(address.family)
  const prefix = Number(digits)
  if (prefix > width) return undefined
  const size = 1n << BigInt(width - prefix)
  return { family: address.family, base: (address.value / size) * size, prefix, size }
}

export function showAddress(family: 4 | 6, value: bigint): string {
  const bytes = new Uint8Array(widthOf(family) / 8)
  for (let at = bytes.length - 1, rest = value; at >= 0; at--, rest >>= 8n) bytes[at] = Number(rest & 255n)
  return NetAddress.formatIp(
    family === 4 ? NetAddress.ipv4FromBytesUnsafe(bytes) : NetAddress.ipv6FromBytesUnsafe(bytes)
  )
}

export const showSubnet = (subnet: Subnet): string =>
  `${showAddress(subnet.family, subnet.base)}/${subnet.prefix}`

export const overlap = (a: Subnet, b: Subnet): boolean =>
  a.family === b.family && a.base < b.base + b.size && b.base < a.base + a.size

export const holds = (subnet: Subnet, address: Address): boolean =>
  subnet.family === address.family &&
  address.value >= subnet.base &&
  address.value < subnet.base + subnet.size
