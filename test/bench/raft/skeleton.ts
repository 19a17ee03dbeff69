/**
 * What replication over this topology costs at least: the first member writes to its disk and tells the other two, and a
 * write is done once its own disk and one other have it. No elections, nothing applied, no encryption, no repair.
 */
import { closeSync, constants, fsyncSync, openSync, writeSync } from "node:fs"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import { crc32 } from "node:zlib"
import { connect, nkeyAuthenticator } from "nats"
import type { Setting } from "#test/bench/raft/orders.ts"

const blockBytes = 4_096
const fileBytes = 64 * 1024 * 1024
const headBytes = 16
const entryHeadBytes = 8

interface Waiting {
  readonly data: Uint8Array
  readonly done: () => void
}

/** Frames one after another, and which of them are durable. */
function openDisk(
  path: string,
  durable: (frame: number) => void
): (frame: number, bytes: Uint8Array) => void {
  const writer = new Worker(new URL(import.meta.url), { workerData: { path } })
  writer.on("message", durable)
  return (frame, bytes) => writer.postMessage({ frame, bytes })
}

export async function openSkeleton({ id, ids, directory, access }: Setting): Promise<{
  readonly write: (data: Uint8Array) => Promise<void>
  readonly leads: () => boolean
}> {
  const connection = await connect({
    servers: access.url,
    authenticator: nkeyAuthenticator(new TextEncoder().encode(access.seed)),
    ...(access.tls && { tls: access.tls })
  })
  const leads = id === ids[0]
  const numbers = (at: Uint8Array): DataView => new DataView(at.buffer, at.byteOffset, at.byteLength)
  const ack = (frame: number): Uint8Array => {
    const bytes = new Uint8Array(8)
    numbers(bytes).setUint32(0, frame)
    return bytes
  }
  if (!leads) {
    const disk = openDisk(`${directory}/log`, (frame) => connection.publish("skeleton.ack", ack(frame)))
    connection.subscribe(`skeleton.${id}`, {
      callback: (_error, { data }) => {
        const bytes = data.slice()
        const view = numbers(bytes)
        for (let at = headBytes; at < bytes.length; ) {
          const length = view.getUint32(at)
          const body = bytes.subarray(at + entryHeadBytes, at + entryHeadBytes + length)
          if (crc32(body) !== view.getUint32(at + 4)) throw new Error("an entry is damaged")
          at += entryHeadBytes + length
        }
        disk(view.getUint32(0), bytes)
      }
    })
    await connection.flush()
    return { write: () => Promise.reject(new Error("only the first one writes")), leads: () => false }
  }

  const flying = new Map<number, Array<Waiting>>()
  let own = 0
  let others = 0
  let done = 0
  let frames = 0
  let queue: Array<Waiting> = []
  const settle = (): void => {
    for (; done < Math.min(own, others); ) {
      const batch = flying.get(++done) ?? []
      flying.delete(done)
      for (const waiting of batch) waiting.done()
    }
  }
  const disk = openDisk(`${directory}/log`, (frame) => {
    own = frame
    settle()
  })
  connection.subscribe("skeleton.ack", {
    callback: (_error, { data }) => {
      others = Math.max(others, numbers(data).getUint32(0))
      settle()
    }
  })
  await connection.flush()
  const send = (): void => {
    const batch = queue
    queue = []
    let length = headBytes
    for (const { data } of batch) length += entryHeadBytes + data.length
    const bytes = new Uint8Array(length)
    const view = numbers(bytes)
    view.setUint32(0, ++frames)
    let at = headBytes
    for (const { data } of batch) {
      view.setUint32(at, data.length)
      view.setUint32(at + 4, crc32(data))
      bytes.set(data, at + entryHeadBytes)
      at += entryHeadBytes + data.length
    }
    flying.set(frames, batch)
    for (const other of ids.slice(1)) connection.publish(`skeleton.${other}`, bytes)
    disk(frames, bytes)
  }
  return {
    leads: () => true,
    write: (data) =>
      new Promise((resolve) => {
        if (queue.push({ data, done: resolve }) === 1) queueMicrotask(send)
      })
  }
}

function serve(path: string): void {
  const zeros = new Uint8Array(1024 * 1024)
  const ground = openSync(path, "w")
  for (let at = 0; at < fileBytes; at += zeros.length) writeSync(ground, zeros, 0, zeros.length, at)
  fsyncSync(ground)
  closeSync(ground)
  const file = openSync(path, constants.O_RDWR | constants.O_DSYNC)
  let at = 0
  parentPort?.on("message", ({ frame, bytes }: { frame: number; bytes: Uint8Array }) => {
    const length = Math.ceil(bytes.length / blockBytes) * blockBytes
    const block = new Uint8Array(length)
    block.set(bytes)
    if (at + length > fileBytes) at = 0
    writeSync(file, block, 0, length, at)
    at += length
    parentPort?.postMessage(frame)
  })
}

if (!isMainThread) serve((workerData as { readonly path: string }).path)
