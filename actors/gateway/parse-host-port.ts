/** `127.0.0.1:4500` and `[::1]:4500`, as the gateway and the flag that names it read them. */
import { parseAddress } from "#actors/network/ip.ts"

export interface HostPort {
  /** Without brackets. */
  readonly host: string
  /** 0 for any free one. */
  readonly port: number
}

/** Reads `HOST:PORT`, an IPv6 address with brackets or without; `undefined` when it is neither. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^[\]\s]+):(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  if (match === null || port > 65_535) return undefined
  return { host: (match[1] as string).replace(/^\[|\]$/g, ""), port }
}

/** True for what only this machine reaches. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || (host.startsWith("127.") && parseAddress(host)?.family === 4)
