/**
 * `wireguard-go`, where the kernel has no WireGuard: one process per device, which outlives this one. It is known by its
 * pid and the time it started, in a file beside the keys, and ends with its device.
 */
import { readFileSync, rmSync } from "node:fs"
import { Effect, Schedule } from "effect"
import { KernelError, path } from "#actors/drivers/kernel/run.ts"
import { privateDirectory, writePrivate } from "#actors/drivers/machine/files.ts"
import { readIdentity } from "#actors/drivers/machine/identity-file.ts"
import { identityOf, isAlive, type ProcessIdentity } from "#actors/drivers/machine/process-identity.ts"
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
  if (identity === undefined)
    return yield* new KernelError({ message: "wireguard-go: it could not be started" })
  writePrivate(fileOf(folder, device), JSON.stringify(identity))
  yield* untilListening(device, identity)
})

/**
 * Not by asking it: `wg` takes a socket that is bound and does not listen yet for one that was left behind, and deletes it,
 * which ends the process.
 */
const untilListening = (device: string, identity: ProcessIdentity): Effect.Effect<void, KernelError> =>
  Effect.suspend(() => {
    if (isListening(device)) return Effect.void
    const why = isAlive(identity) ? "takes no configuration" : "ended as soon as it was started"
    return Effect.fail(new KernelError({ message: `wireguard-go: the process of ${device} ${why}` }))
  }).pipe(Effect.retry({ schedule: startWithin, while: () => isAlive(identity) }))

// proc(5), /proc/net/unix: the fourth field has the flags of a socket, of which one says that it listens.
const isListening = (device: string): boolean =>
  readFileSync("/proc/net/unix", "utf8")
    .split("\n")
    .some((line) => line.split(/\s+/)[3] === "00010000" && line.endsWith(`/wireguard/${device}.sock`))

/** For a device that is gone, or shall be; nothing where there is no process. */
export const endProcess = Effect.fnUntraced(function* (folder: string, device: string) {
  const identity = readIdentity(fileOf(folder, device))
  if (identity !== undefined && isAlive(identity)) yield* stopProcess(identity)
  rmSync(fileOf(folder, device), { force: true })
})
