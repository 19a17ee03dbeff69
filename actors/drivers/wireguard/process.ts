/**
 * `wireguard-go`, where the kernel has no WireGuard: one process per device, which outlives this one. It is known by its
 * pid and the time it started, in a file beside the keys, and ends with its device.
 */
import { rmSync } from "node:fs"
import { Effect, Schedule } from "effect"
import { type KernelError, path, run } from "#actors/drivers/kernel/run.ts"
import { privateDirectory, writePrivate } from "#actors/drivers/machine/files.ts"
import { readIdentity } from "#actors/drivers/machine/identity-file.ts"
import { identityOf, isAlive } from "#actors/drivers/machine/process-identity.ts"
import { stopProcess } from "#actors/drivers/machine/stop-process.ts"
import { spawn } from "#runtime/platform.ts"

const startWithin = Schedule.spaced("20 millis").pipe(Schedule.upTo({ times: 250 }))

const fileOf = (folder: string, device: string): string => `${folder}/${device}.json`

/** Makes the device; fails with why it is not there. */
export const startProcess = Effect.fnUntraced(function* (folder: string, device: string) {
  yield* endProcess(folder, device)
  privateDirectory(folder)
  const child = spawn("wireguard-go", ["-f", device], {
    cwd: "/",
    detached: true,
    stdio: "ignore",
    env: { PATH: path, LOG_LEVEL: "silent" }
  })
  child.on("error", () => {})
  child.unref()
  const identity = child.pid === undefined ? undefined : identityOf(child.pid)
  if (identity !== undefined) writePrivate(fileOf(folder, device), JSON.stringify(identity))
  yield* untilShown(device)
})

const untilShown = (device: string): Effect.Effect<void, KernelError> =>
  run("wg", ["show", device, "listen-port"], "").pipe(Effect.asVoid, Effect.retry(startWithin))

/** For a device that is gone, or shall be; nothing where there is no process. */
export const endProcess = Effect.fnUntraced(function* (folder: string, device: string) {
  const identity = readIdentity(fileOf(folder, device))
  if (identity !== undefined && isAlive(identity)) yield* stopProcess(identity)
  rmSync(fileOf(folder, device), { force: true })
})
