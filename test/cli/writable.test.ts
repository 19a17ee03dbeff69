/** A data directory on a real file system that is full, or may only be read; needs root. */
import { afterEach, expect, test } from "bun:test"
import { execFileSync } from "node:child_process"
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { Effect, Fiber, Logger } from "effect"
import { httpToken } from "#actors/gateway/http-token.ts"
import { announceRunning } from "#cli/running.ts"
import { whenWritable } from "#cli/writable.ts"
import { eventually } from "#test/support/engine.ts"
import { emptyDisk, fillDisk, removeDisk, smallDisk } from "#test/support/small-disk.ts"

const isRoot = process.getuid?.() === 0
const mounted: Array<string> = []
afterEach(() => {
  for (const place of mounted.splice(0)) removeDisk(place)
})

function mountedDisk(): string {
  const place = smallDisk("4m")
  mounted.push(place)
  return place
}

const heard = (said: Array<string>) =>
  Logger.layer([Logger.make(({ message }) => void said.push(`${message}`))])

test.skipIf(!isRoot)("a full disk is waited for, with one word that says what is left of it", async () => {
  const place = mountedDisk()
  fillDisk(place)
  const said: Array<string> = []
  const waiting = Effect.runFork(whenWritable(place).pipe(Effect.provide(heard(said))))
  await eventually(() => said.length > 0, "it is said")
  emptyDisk(place)
  await Effect.runPromise(Fiber.join(waiting))
  expect(said).toEqual([
    `0 B are left on the disk of ${place}, and a node wants 1 MiB to start: the node starts as soon as there is room`
  ])
  expect(readdirSync(place)).toEqual([])
})

test.skipIf(!isRoot || !existsSync("/dev/loop-control"))(
  "what a file system keeps for root is room for root",
  async () => {
    const place = mkdtempSync(join(tmpdir(), "troupe-writable-"))
    const image = `${place}.image`
    writeFileSync(image, new Uint8Array(16 * 1024 ** 2))
    execFileSync("mkfs.ext4", ["-q", "-m", "40", image], { stdio: "ignore" })
    execFileSync("mount", ["-o", "loop", image, place])
    mounted.push(place)
    rmSync(image)
    const { blocks, bavail, bfree, bsize } = statfsSync(place)
    expect(blocks * bsize).toBeGreaterThan(4 * 1024 ** 2)
    writeFileSync(join(place, "ballast"), new Uint8Array(bavail * bsize))
    expect(statfsSync(place).bavail).toBe(0)
    expect(bfree - bavail).toBeGreaterThan(0)
    await Effect.runPromise(whenWritable(place).pipe(Effect.timeout("500 millis")))
  }
)

test.skipIf(!isRoot)("a disk that may only be read is refused, with its path and why", async () => {
  const place = mountedDisk()
  execFileSync("mount", ["-o", "remount,ro", place])
  const refused = await Effect.runPromise(Effect.flip(whenWritable(place)))
  expect(refused.message).toMatch(`Cannot write to the data directory ${place}: EROFS: read-only file system`)
})

test.skipIf(!isRoot)(
  "a node that cannot say that it runs goes on, and leaves what it said before",
  async () => {
    const place = mountedDisk()
    const running = { pid: process.pid, nodeId: "n", clusterId: "c", http: "", nats: "" }
    const announce = (socket: string) => announceRunning(place, { ...running, socket: join(place, socket) })
    await Effect.runPromise(announce("first"))
    const files = readdirSync(place).sort()
    fillDisk(place)
    const said: Array<string> = []
    await Effect.runPromise(announce("second".repeat(2_000)).pipe(Effect.provide(heard(said))))
    expect(said).toEqual([expect.stringContaining("ENOSPC: no space left on device")])
    expect(readdirSync(place).sort()).toEqual([...files, "ballast"].sort())
    expect(JSON.parse(readFileSync(join(place, "running.json"), "utf8"))).toMatchObject({
      socket: join(place, "first")
    })
  }
)

test.skipIf(!isRoot)("a token for which there was no room is made once there is", async () => {
  const place = mountedDisk()
  fillDisk(place)
  expect((await Effect.runPromise(Effect.flip(httpToken(place)))).message).toContain("ENOSPC")
  emptyDisk(place)
  expect(await Effect.runPromise(httpToken(place))).toMatch(/^[0-9a-f]{64}$/)
})
