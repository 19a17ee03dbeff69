/**
 * A node's own keys for encrypted overlays, in a file that its owner alone reads: the newest and the one before, so that
 * whoever has not heard of the newer one is still reached. Only the public ones leave the node.
 */
import { createSocket } from "node:dgram"
import { dirname } from "node:path"
import { Effect, Schema } from "effect"
import { type KernelError, run } from "#actors/drivers/kernel/run.ts"
import { privateDirectory, readIfThere, writePrivate } from "#actors/drivers/machine/files.ts"
import type { Key } from "#actors/drivers/wireguard/plan.ts"
import { TunnelKey } from "#actors/model/objects.ts"

/** WireGuard's usual port. Two devices of each node on this machine need one each. */
const firstPort = 51_820
const ports = 64
const kept = 2

const KeyFile = Schema.Array(Schema.Struct({ ...TunnelKey.fields, PrivateKey: Schema.String }))

export class Keys {
  readonly #path: string
  #keys: ReadonlyArray<Key>

  constructor(path: string) {
    this.#path = path
    this.#keys = read(path)
  }

  /** The newest first. */
  get all(): ReadonlyArray<Key> {
    return this.#keys
  }

  /** Makes one of `epoch`, the newest or the first where none is named, unless it is there. */
  readonly make = Effect.fnUntraced(function* (this: Keys, epoch: number | undefined) {
    const wanted = epoch ?? this.#keys[0]?.Epoch ?? 1
    const isThere = (): boolean => this.#keys.some(({ Epoch }) => Epoch === wanted)
    if (isThere()) return
    const PrivateKey = (yield* run("wg", ["genkey"], "")).trim()
    const PublicKey = (yield* run("wg", ["pubkey"], PrivateKey)).trim()
    const Port = yield* freePort(this.#keys.map((key) => key.Port))
    // Somebody else may have asked meanwhile.
    if (isThere()) return
    // A key of this epoch's parity had the device that this one takes.
    const others = this.#keys.filter(({ Epoch }) => Epoch % 2 !== wanted % 2)
    const key = { Epoch: wanted, PublicKey, Port, PrivateKey }
    this.#keys = [key, ...others].sort((a, b) => b.Epoch - a.Epoch).slice(0, kept)
    privateDirectory(dirname(this.#path))
    writePrivate(this.#path, `${JSON.stringify(this.#keys, null, 2)}\n`)
  })
}

/** One that cannot be read is made anew: nothing but a handshake depends on it. */
function read(path: string): ReadonlyArray<Key> {
  const text = readIfThere(path)
  if (text === undefined) return []
  try {
    return Schema.decodeUnknownSync(KeyFile)(JSON.parse(text))
  } catch {
    return []
  }
}

const freePort = (taken: ReadonlyArray<number>): Effect.Effect<number, KernelError> =>
  Effect.promise(async () => {
    for (let port = firstPort; port < firstPort + ports; port++) {
      if (!taken.includes(port) && (await isFree(port))) return port
    }
    // Whoever has taken them all is told of when the device cannot be made.
    return firstPort
  })

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createSocket("udp4")
    socket.once("error", () => resolve(false))
    socket.bind(port, () => socket.close(() => resolve(true)))
  })
