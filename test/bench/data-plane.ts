/**
 * The data plane beside nothing: the same client and the same server, straight and through a published port.
 * Prints bytes per second, connections per second and the ratios; run it on a quiet machine.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { Effect } from "effect"
import { startDataPlane, stopDataPlane } from "#actors/drivers/data-plane/live.ts"
import type { PublishedPort } from "#actors/network/plan.ts"
import { freePort } from "#test/support/free-port.ts"

const backendAddress = "127.0.20.1"
const megabytes = Number(process.env.MEGABYTES ?? 512)
const connections = Number(process.env.CONNECTIONS ?? 4_000)
const beside = 32
const rounds = 3

/** The server has a process of its own: what is measured is not to share its thread with it. */
if (process.argv[2] === "serve") {
  const block = new Uint8Array(256 * 1024)
  const server = net.createServer((socket) => {
    socket.on("error", () => {})
    socket.once("data", (chunk) => {
      let left = Number(String(chunk)) * 1024 * 1024
      if (left === 0) {
        socket.end("ok")
        return
      }
      const send = (): void => {
        while (left > 0) {
          left -= block.length
          if (!socket.write(block)) return
        }
        socket.end()
      }
      socket.on("drain", send)
      send()
    })
  })
  server.listen(0, backendAddress, () => console.log((server.address() as net.AddressInfo).port))
} else await main()

async function main(): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "troupe-bench-"))
  const at = { dataDir: join(root, "data"), runDir: join(root, "run") }
  const server = spawn(process.execPath, [process.argv[1] as string, "serve"], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  try {
    const target = await portOf(server)
    const front = await freePort()
    const table: PublishedPort = {
      serviceId: "s1",
      serviceName: "bench",
      protocol: "tcp",
      publishedPort: front,
      targetPort: target,
      backends: [{ taskId: "t1", nodeId: "n1", address: backendAddress }]
    }
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const plane = yield* startDataPlane(at)
          yield* plane.publish([table])
          yield* Effect.promise(() =>
            measure({ host: backendAddress, port: target }, { host: "127.0.0.1", port: front })
          )
        })
      )
    )
    await Effect.runPromise(stopDataPlane(at))
  } finally {
    server.kill("SIGKILL")
    rmSync(root, { recursive: true, force: true })
  }
}

interface Place {
  readonly host: string
  readonly port: number
}

async function measure(direct: Place, through: Place): Promise<void> {
  const best = { bytes: [0, 0], connects: [0, 0] }
  for (let round = 0; round < rounds; round++) {
    for (const [i, place] of [direct, through].entries()) {
      best.bytes[i] = Math.max(best.bytes[i] as number, await bytesPerSecond(place))
      best.connects[i] = Math.max(best.connects[i] as number, await connectionsPerSecond(place))
    }
  }
  print(
    `one connection, ${megabytes} MB`,
    "MB/s",
    best.bytes.map((rate) => rate / 1e6)
  )
  print(`${connections} connections, ${beside} beside each other`, "/s", best.connects)
}

function print(what: string, unit: string, rates: ReadonlyArray<number>): void {
  const [direct = 0, through = 0] = rates
  console.log(
    `${what}: direct ${direct.toFixed(0)} ${unit}, through the data plane ${through.toFixed(0)} ${unit}, ratio ${(through / direct).toFixed(2)}`
  )
}

async function bytesPerSecond(place: Place): Promise<number> {
  const since = performance.now()
  const bytes = await ask(place, megabytes)
  return (bytes * 1_000) / (performance.now() - since)
}

async function connectionsPerSecond(place: Place): Promise<number> {
  const since = performance.now()
  let left = connections
  const work = async (): Promise<void> => {
    while (left-- > 0) await ask(place, 0)
  }
  await Promise.all(Array.from({ length: beside }, work))
  return (connections * 1_000) / (performance.now() - since)
}

function ask(place: Place, size: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let bytes = 0
    const socket = net.connect(place, () => socket.write(String(size)))
    socket.on("data", (chunk) => {
      bytes += chunk.length
    })
    socket.on("error", reject)
    socket.on("close", () => resolve(bytes))
  })
}

async function portOf(server: ChildProcess): Promise<number> {
  const line = await new Promise((resolve) => server.stdout?.once("data", resolve))
  return Number(String(line))
}
