/**
 * Everything comes late by chance, as on a machine that is busy: timers, what goes out over sockets, what is synced to disk.
 * Tests that meant "by then it has happened" fail with it, in the test's own process and in those that it starts:
 *
 *     LATE=17 BUN_OPTIONS=--preload=$PWD/test/support/late.ts bun test/run.ts integration
 *
 * `LATE` seeds the chance; each process without it draws by its own number.
 */
import { type FileHandle, open } from "node:fs/promises"
import net from "node:net"
import process from "node:process"
import { setTimeout as pause } from "node:timers/promises"
import { Fresh } from "#runtime/ids.ts"

const chance = Fresh.from(Number(process.env.LATE ?? process.pid))
const oneIn = (many: number): boolean => chance.below(many) === 0
/** Mostly nothing, often a moment, now and then a third of a second. */
const lateMs = (): number => (oneIn(25) ? chance.below(300) : oneIn(4) ? chance.below(20) : 0)

const onTime = globalThis.setTimeout
globalThis.setTimeout = Object.assign(
  (turn: () => void, ms = 0, ...rest: Array<never>) => onTime(turn, ms + lateMs(), ...rest),
  onTime
) as typeof setTimeout

const held = new WeakSet<net.Socket>()
const { write } = net.Socket.prototype
net.Socket.prototype.write = function (this: net.Socket, ...args: Parameters<typeof write>) {
  if (!held.has(this) && oneIn(30)) {
    held.add(this)
    this.cork()
    onTime(() => {
      held.delete(this)
      this.uncork()
    }, lateMs())
  }
  return write.apply(this, args)
} as typeof write

const some = await open("/dev/null")
const files: Pick<FileHandle, "sync" | "datasync"> = Object.getPrototypeOf(some)
await some.close()
for (const name of ["sync", "datasync"] as const) {
  const inTime = files[name]
  files[name] = async function (this: FileHandle) {
    if (oneIn(5)) await pause(chance.below(60))
    return inTime.call(this)
  }
}
