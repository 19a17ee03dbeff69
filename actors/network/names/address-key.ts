/** Addresses as hexadecimal digits, by which they are looked up whatever their spelling, and found in subnets. */

const hex = (value: number, width: number): string => value.toString(16).padStart(width, "0")

/** 8 digits for IPv4, 32 for IPv6, where an IPv4 address in IPv6's clothes counts as IPv4; `undefined` for no address. */
export function keyOf(text: string): string | undefined {
  return text.includes(":") ? keyOf6(text.toLowerCase()) : keyOf4(text)
}

function keyOf4(text: string): string | undefined {
  const parts = text.split(".")
  if (parts.length !== 4) return undefined
  let key = ""
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined
    key += hex(Number(part), 2)
  }
  return key
}

const mapped = "00000000000000000000ffff"

function keyOf6(text: string): string | undefined {
  const halves = text.split("::")
  if (halves.length > 2) return undefined
  const [head, tail] = halves.map(digitsOf)
  if (head === undefined) return undefined
  if (halves.length === 1) return head.length === 32 ? bare(head) : undefined
  if (tail === undefined || head.length + tail.length > 28) return undefined
  return bare(head + "0".repeat(32 - head.length - tail.length) + tail)
}

const bare = (key: string): string => (key.startsWith(mapped) ? key.slice(mapped.length) : key)

function digitsOf(half: string): string | undefined {
  if (half === "") return ""
  let digits = ""
  const groups = half.split(":")
  for (const [at, group] of groups.entries()) {
    const dotted = at === groups.length - 1 && group.includes(".") ? keyOf4(group) : undefined
    if (dotted === undefined && !/^[0-9a-f]{1,4}$/.test(group)) return undefined
    digits += dotted ?? group.padStart(4, "0")
  }
  return digits
}

/** The key of the address that a name under `in-addr.arpa` or `ip6.arpa` asks for; `undefined` for any other name. */
export function keyOfArpa(name: string): string | undefined {
  if (name.endsWith(".in-addr.arpa")) {
    return keyOf4(name.slice(0, -".in-addr.arpa".length).split(".").reverse().join("."))
  }
  if (!name.endsWith(".ip6.arpa")) return undefined
  const digits = name.slice(0, -".ip6.arpa".length).split(".").reverse()
  return digits.length === 32 && digits.every((digit) => /^[0-9a-f]$/.test(digit))
    ? bare(digits.join(""))
    : undefined
}

/** Whether the address with this key lies in the subnet, `10.0.1.0/24`. */
export function isWithin(key: string, subnet: string): boolean {
  const [address = "", length = ""] = subnet.split("/")
  const base = keyOf(address)
  const bits = Number(length)
  if (base === undefined || base.length !== key.length || !(bits >= 0 && bits <= key.length * 4)) return false
  const whole = bits >> 2
  if (key.slice(0, whole) !== base.slice(0, whole)) return false
  const rest = bits & 3
  if (rest === 0) return true
  const digit = (of: string): number => Number.parseInt(of[whole] as string, 16) >> (4 - rest)
  return digit(key) === digit(base)
}
