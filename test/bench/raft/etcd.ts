/**
 * Three members of etcd, where it is installed, and a client of its gRPC: one connection per eight clients, the messages
 * written by hand, since a put is two byte strings and its answer is not looked into.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { type ClientHttp2Session, connect } from "node:http2"
import { freePort } from "#test/support/nats-server.ts"

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

const method = { put: "/etcdserverpb.KV/Put", status: "/etcdserverpb.Maintenance/Status" }

/** A field of protobuf that is a byte string. */
function bytesField(number: number, bytes: Uint8Array): Uint8Array {
  const { length } = bytes
  const head =
    length < 128 ? [(number << 3) | 2, length] : [(number << 3) | 2, (length & 127) | 128, length >> 7]
  return Buffer.concat([Uint8Array.from(head), bytes])
}

function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(5 + message.length)
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, 5)
  return frame
}

export class EtcdClient {
  readonly #sessions: ReadonlyArray<ClientHttp2Session>
  readonly #put: Buffer

  constructor(url: string, sessions: number) {
    this.#sessions = Array.from({ length: sessions }, () => {
      const session = connect(url)
      session.on("error", () => {})
      return session
    })
    this.#put = framed(
      Buffer.concat([bytesField(1, Buffer.from("bench")), bytesField(2, new Uint8Array(256))])
    )
  }

  put(client: number): Promise<void> {
    return this.#call(client, method.put, this.#put).then(() => {})
  }

  /** Answered by the member itself, without the others: what the way there and back costs, and the member's leader. */
  async status(client = 0): Promise<{ readonly leads: boolean }> {
    const fields = varints(await this.#call(client, method.status, framed(new Uint8Array(0))))
    return { leads: fields.leader !== 0n && fields.leader === fields.member }
  }

  close(): void {
    for (const session of this.#sessions) session.destroy()
  }

  #call(client: number, path: string, body: Buffer): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const session = this.#sessions[client % this.#sessions.length] as ClientHttp2Session
      if (session.destroyed) return reject(new Error("the connection has ended"))
      const stream = session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers"
      })
      let status: unknown
      const chunks: Array<Uint8Array> = []
      const heard = (headers: Record<string, unknown>): void => {
        status = headers["grpc-status"] ?? status
      }
      stream.on("response", heard)
      stream.on("trailers", heard)
      stream.on("data", (chunk: Uint8Array) => chunks.push(chunk))
      stream.on("error", reject)
      stream.on("close", () =>
        String(status) === "0" ? resolve(Buffer.concat(chunks)) : reject(new Error(`etcd answered ${status}`))
      )
      stream.end(body)
    })
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
