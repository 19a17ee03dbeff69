/** Where an Engine listens, read from what people write: `unix:///var/run/docker.sock`, `tcp://10.0.0.5:2375`. */
import { Schema } from "effect"

export type EngineAddress =
  | { readonly _tag: "Unix"; readonly path: string }
  | { readonly _tag: "Tcp"; readonly host: string; readonly port: number }

/** The text names no Engine that we can reach. */
export class BadEngineAddress extends Schema.TaggedError<BadEngineAddress>()("BadEngineAddress", {
  value: Schema.String,
  message: Schema.String
}) {}

/** Reads `unix://PATH`, `tcp://HOST:PORT` or `http://HOST:PORT`. */
export function parseEngineAddress(text: string): EngineAddress | BadEngineAddress {
  const unix = /^unix:\/\/(\/.+)$/.exec(text)
  if (unix) return { _tag: "Unix", path: unix[1] as string }
  const tcp = /^(?:tcp|http):\/\/(\[[0-9a-fA-F:.]+\]|[^:/[\]]+):(\d{1,5})\/?$/.exec(text)
  const port = Number(tcp?.[2])
  if (tcp && port > 0 && port < 65_536) {
    return { _tag: "Tcp", host: (tcp[1] as string).replace(/^\[|\]$/g, ""), port }
  }
  return new BadEngineAddress({
    value: text,
    message: `--docker-host ${JSON.stringify(text)}: expected unix:///path/to/docker.sock or tcp://host:port`
  })
}

const showEngineAddress = (address: EngineAddress): string =>
  address._tag === "Unix" ? `unix://${address.path}` : `tcp://${address.host}:${address.port}`

/** What `node:http` and `node:net` take to connect there. */
export const connectOptions = (
  address: EngineAddress
): { readonly socketPath: string } | { readonly host: string; readonly port: number } =>
  address._tag === "Unix" ? { socketPath: address.path } : { host: address.host, port: address.port }

/** What is said when nothing answers there. */
export const cannotConnect = (address: EngineAddress | undefined): string =>
  address === undefined
    ? "This node has no Docker Engine: it runs its tasks as processes"
    : `Cannot connect to the Docker Engine at ${showEngineAddress(address)}. Is the docker daemon running?`
