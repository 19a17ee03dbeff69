import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import net from "node:net"
import { Effect, Fiber } from "effect"
import { hindrance } from "#actors/drivers/kernel/hindrance.ts"
import { LiveKernel } from "#actors/drivers/kernel/live.ts"
import { Kernel } from "#actors/drivers/kernel.ts"
import { nothingLed } from "#actors/drivers/led.ts"
import { freePort } from "#test/support/free-port.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

const dockerHost = "unix:///run/docker.sock"
const options = { nodeId: "nobody0", controlPorts: [], dataDir: "/nonexistent", dockerHost }

test.skipIf(hindrance(dockerHost) !== undefined)(
  "a look gives way to something new, and what is new does not; nothing was led yet",
  () =>
    Effect.gen(function* () {
      const kernel = yield* Kernel
      const laying = Effect.fnUntraced(function* (isLook: boolean) {
        const lay = yield* Effect.forkChild(kernel.lay([], [], isLook))
        const asking = yield* Effect.forkChild(
          Effect.forever(Effect.andThen(kernel.giveWay, Effect.yieldNow))
        )
        const { gaveWay } = yield* Fiber.join(lay)
        yield* Fiber.interrupt(asking)
        return gaveWay
      })
      expect(yield* laying(true)).toBe(true)
      expect(yield* laying(false)).toBeUndefined()
      expect((yield* kernel.lay([], [], true)).gaveWay).toBeUndefined()
      // Where nothing was ever led there is nothing to read.
      expect(yield* kernel.count([])).toEqual(nothingLed)
    }).pipe(Effect.provide(LiveKernel.layer(options)), Effect.runPromise)
)

const forwards = (): boolean => readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8").trim() === "1"

test.skipIf(hindrance(dockerHost) !== undefined || !forwards())(
  "it says that it waits as long as a task of a published port takes no connections",
  async () => {
    const port = await freePort()
    const address = { addresses: ["127.0.0.1"], serving: true }
    const task = { taskId: "t1", nodeId: "nobody1", name: "web.1.t1", ...address }
    const ports = [{ protocol: "tcp", targetPort: port, publishedPort: 8080 } as const]
    const web = { serviceId: "web", name: "web", aliases: [], vips: [], ports, tasks: [task] }
    const tables = [overlayTable({ networkId: "nobodynet", ingress: true, services: [web] })]
    const server = net.createServer((socket) => socket.end())
    const program = Effect.gen(function* () {
      const kernel = yield* Kernel
      const isWaiting = () =>
        kernel.lay(tables, ["tcp/8080"], true).pipe(Effect.map((report) => report.isWaiting))
      expect(yield* isWaiting()).toBe(true)
      yield* Effect.promise(() => new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve)))
      while (yield* isWaiting()) {}
    }).pipe(Effect.ensuring(Effect.flatMap(Kernel, (kernel) => kernel.lay([], [], true))))
    try {
      await Effect.runPromise(Effect.provide(program, LiveKernel.layer({ ...options, nodeId: "nobody1" })))
    } finally {
      server.close()
    }
  }
)
