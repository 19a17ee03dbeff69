/** What `wg show DEVICE dump` tells: a line of the device, and one of each peer. */

export interface Shown {
  readonly privateKey: string
  readonly port: number
  /** By public key. */
  readonly peers: ReadonlyMap<string, ShownPeer>
}

export interface ShownPeer {
  /** Absent where none is known. */
  readonly endpoint: string | undefined
  readonly allowed: string
  /** Seconds; 0 where it is off. */
  readonly keepAlive: number
  /** The two have shaken hands since the peer was told of: both can read each other. */
  readonly hasMet: boolean
}

export function parseShown(dump: string): Shown {
  const [device = "", ...peers] = dump.trim().split("\n")
  const [privateKey = "", , port = ""] = device.split("\t")
  return { privateKey, port: Number(port), peers: new Map(peers.map(parsePeer)) }
}

function parsePeer(line: string): readonly [string, ShownPeer] {
  const [publicKey = "", , endpoint = "", allowed = "", handshake = "", , , keepAlive = ""] = line.split("\t")
  return [
    publicKey,
    {
      endpoint: endpoint === "(none)" ? undefined : endpoint,
      allowed,
      keepAlive: keepAlive === "off" ? 0 : Number(keepAlive),
      hasMet: handshake !== "0"
    }
  ]
}
