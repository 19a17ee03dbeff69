/**
 * Three members of etcd, where it is installed, and a client of its gRPC with as little between as can be: a put is two
 * byte strings, and its answer is not looked into.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { freePort } from "#test/support/free-port.ts"
import { until } from "#test/support/nats-server.ts"

export const hasEtcd = (): boolean => spawnSync("etcd", ["--version"]).status === 0

export interface EtcdMember {
  readonly url: string
  readonly start: () => void
  readonly process: () => ChildProcess
  readonly rss: () => number
}

export async function startEtcd(directory: string): Promise<ReadonlyArray<EtcdMember>> {
  const ports = await Promise.all(
    [0, 1, 2].map(async () => ({ client: await freePort(), peer: await freePort() }))
  )
  const cluster = ports.map(({ peer }, i) => `e${i}=http://127.0.0.1:${peer}`).join(",")
  return ports.map(({ client, peer }, i) => {
    const url = `http://127.0.0.1:${client}`
    const peerUrl = `http://127.0.0.1:${peer}`
    let child: ChildProcess
    const start = (): void => {
      child = spawn(
        "etcd",
        [
          ["--name", `e${i}`, "--data-dir", `${directory}/etcd-${i}`, "--log-level", "error"],
          ["--listen-client-urls", url, "--advertise-client-urls", url],
          ["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
          ["--initial-cluster", cluster, "--initial-cluster-token", "bench"]
        ].flat(),
        { stdio: "ignore" }
      )
    }
    start()
    const rss = (): number => {
      const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]
      return Number(kib ?? 0) * 1_024
    }
    return { url, start, process: () => child, rss }
  })
}

export async function findEtcdLeader(members: ReadonlyArray<EtcdMember>): Promise<EtcdMember> {
  let found: EtcdMember | undefined
  const leads = async ({ url }: EtcdMember): Promise<boolean> => {
    const client = new EtcdClient(url)
    try {
      return (await client.status()).leads
    } catch {
      return false
    } finally {
      client.close()
    }
  }
  await until(async () => {
    for (const each of members) if (await leads(each)) found = each
    return found !== undefined
  }, 20_000)
  return found as EtcdMember
}

const path = { put: "/etcdserverpb.KV/Put", status: "/etcdserverpb.Maintenance/Status" }

/** A field of protobuf that is a byte string. */
function bytesField(number: number, bytes: Uint8Array): Uint8Array {
  const { length } = bytes
  const head =
    length < 128 ? [(number << 3) | 2, length] : [(number << 3) | 2, (length & 127) | 128, length >> 7]
  return Buffer.concat([Uint8Array.from(head), bytes])
}

// RFC 9113 §6; only what a client of small calls meets.
const frames = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, window: 8 } as const
const flags = { ack: 1, endStream: 1, endHeaders: 4 } as const
const frameHeadBytes = 9

function frame(type: number, flag: number, stream: number, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(frameHeadBytes + body.length)
  bytes.writeUIntBE(body.length, 0, 3)
  bytes[3] = type
  bytes[4] = flag
  bytes.writeUInt32BE(stream, 5)
  bytes.set(body, frameHeadBytes)
  return bytes
}

/** A header as it stands, without the tables of RFC 7541. */
const literal = (name: string, value: string): Buffer =>
  Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)])

/** Everything a call sends; the two numbers of its stream are filled in for each. */
function callOf(method: string, message: Uint8Array): { readonly bytes: Buffer; readonly dataAt: number } {
  const headers = [
    literal(":method", "POST"),
    literal(":scheme", "http"),
    literal(":path", method),
    literal(":authority", "etcd"),
    literal("content-type", "application/grpc"),
    literal("te", "trailers")
  ]
  const body = Buffer.alloc(5 + message.length)
  body.writeUInt32BE(message.length, 1)
  body.set(message, 5)
  const head = frame(frames.headers, flags.endHeaders, 0, Buffer.concat(headers))
  return { bytes: Buffer.concat([head, frame(frames.data, flags.endStream, 0, body)]), dataAt: head.length }
}

interface Waiting {
  readonly resolve: (answer: Uint8Array) => void
  readonly reject: (error: Error) => void
  answer: Uint8Array | undefined
}

/** One connection; node:http2 would cost more than etcd does. A call without data in its answer has failed. */
export class EtcdClient {
  readonly #socket: Socket
  readonly #waiting = new Map<number, Waiting>()
  readonly #put = callOf(
    path.put,
    Buffer.concat([bytesField(1, Buffer.from("bench")), bytesField(2, new Uint8Array(256))])
  )
  readonly #status = callOf(path.status, new Uint8Array(0))
  #stream = 1
  #rest: Buffer = Buffer.alloc(0)
  #ended = false
  #outgoing: Array<Buffer> = []

  constructor(url: string) {
    const { hostname, port } = new URL(url)
    this.#socket = connect(Number(port), hostname)
    this.#socket.setNoDelay(true)
    this.#socket.on("data", (bytes: Buffer) => this.#take(bytes))
    this.#socket.on("error", () => this.close())
    this.#socket.on("close", () => this.close())
    const wide = Buffer.alloc(4)
    wide.writeUInt32BE(2 ** 30)
    this.#send(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
    this.#send(frame(frames.settings, 0, 0, Buffer.alloc(0)))
    this.#send(frame(frames.window, 0, 0, wide))
  }

  async put(): Promise<void> {
    await this.#call(this.#put)
  }

  /** Answered by the member itself, without the others: what the way there and back costs, and whether it leads. */
  async status(): Promise<{ readonly leads: boolean }> {
    const fields = varints(await this.#call(this.#status))
    return { leads: fields.leader !== 0n && fields.leader === fields.member }
  }

  close(): void {
    this.#ended = true
    this.#socket.destroy()
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { reject } of waiting) reject(new Error("the connection has ended"))
  }

  #call({ bytes, dataAt }: ReturnType<typeof callOf>): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(new Error("the connection has ended"))
      const call = Buffer.from(bytes)
      call.writeUInt32BE(this.#stream, 5)
      call.writeUInt32BE(this.#stream, dataAt + 5)
      this.#waiting.set(this.#stream, { resolve, reject, answer: undefined })
      this.#stream += 2
      this.#send(call)
    })
  }

  /** What is said in one turn goes out together, as every client does. */
  #send(bytes: Buffer): void {
    if (this.#outgoing.push(bytes) > 1) return
    queueMicrotask(() => {
      this.#socket.write(Buffer.concat(this.#outgoing))
      this.#outgoing = []
    })
  }

  #take(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    let at = 0
    while (all.length - at >= frameHeadBytes) {
      const end = at + frameHeadBytes + all.readUIntBE(at, 3)
      if (end > all.length) break
      this.#onFrame(
        all[at + 3] ?? 0,
        all[at + 4] ?? 0,
        all.readUInt32BE(at + 5),
        all.subarray(at + frameHeadBytes, end)
      )
      at = end
    }
    this.#rest = Buffer.from(all.subarray(at))
  }

  #onFrame(type: number, flag: number, stream: number, body: Buffer): void {
    if (type === frames.settings && flag !== flags.ack) {
      this.#send(frame(frames.settings, flags.ack, 0, Buffer.alloc(0)))
    } else if (type === frames.ping && flag !== flags.ack) this.#send(frame(frames.ping, flags.ack, 0, body))
    else if (type === frames.goAway) this.close()
    const waiting = this.#waiting.get(stream)
    if (waiting === undefined) return
    if (type === frames.data) waiting.answer = Buffer.from(body)
    const isOver = type === frames.reset || (type === frames.headers && (flag & flags.endStream) !== 0)
    if (!isOver) return
    this.#waiting.delete(stream)
    if (type !== frames.reset && waiting.answer !== undefined) waiting.resolve(waiting.answer)
    else waiting.reject(new Error("etcd refused a call"))
  }
}

/** Of a StatusResponse: header (1) { member_id (2) }, leader (4). */
function varints(answer: Uint8Array): { readonly member: bigint; readonly leader: bigint } {
  const found = { member: -1n, leader: 0n }
  const walk = (from: number, to: number, inHeader: boolean): void => {
    let at = from
    const varint = (): bigint => {
      let value = 0n
      for (let shift = 0n; ; shift += 7n) {
        const byte = answer[at++] ?? 0
        value |= BigInt(byte & 127) << shift
        if (byte < 128) return value
      }
    }
    while (at < to) {
      const tag = Number(varint())
      if ((tag & 7) === 2) {
        const length = Number(varint())
        if (tag >> 3 === 1 && !inHeader) walk(at, at + length, true)
        at += length
      } else {
        const value = varint()
        if (inHeader && tag >> 3 === 2) found.member = value
        if (!inHeader && tag >> 3 === 4) found.leader = value
      }
    }
  }
  walk(5, answer.length, false)
  return found
}
