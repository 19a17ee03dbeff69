import { expect, test } from "bun:test"
import { Effect, Fiber } from "effect"
import { hindrance } from "#actors/drivers/kernel/hindrance.ts"
import { LiveKernel } from "#actors/drivers/kernel/live.ts"
import { Kernel } from "#actors/drivers/kernel.ts"
import { nothingLed } from "#actors/drivers/led.ts"

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
