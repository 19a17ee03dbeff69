/**
 * A shell that holds a pipe to the manager and ends nats-server a little after the manager is gone.
 *
 * The server must outlive a crashed manager for a moment, because its news of the closed connection is what tells
 * the other managers; and it must not outlive it for long. A shell, because it costs 1 MB where another
 * runtime would cost 40.
 */
import { type ChildProcess, spawn } from "node:child_process"
import process from "node:process"
import { identityOf, type ProcessIdentity } from "#actors/drivers/nats-server/process-identity.ts"

/** How long nats-server outlives a manager that crashed, in seconds. */
export const graceSeconds = 2

/** Keeps the last `pid start` line it was given; when the pipe closes, waits, and ends that very process. */
const script = `
pid=0 start=
while read -r p s; do pid=$p start=$s; done
[ "$pid" -gt 1 ] || exit 0
sleep ${graceSeconds}
if [ -r "/proc/$pid/stat" ]; then
  read -r line < "/proc/$pid/stat" || exit 0
  set -- \${line##*) }
  shift 19
  [ "$1" = "\${start%%@*}" ] && kill -TERM "$pid"
elif command -v ps >/dev/null 2>&1; then
  now=$(ps -o lstart= -p "$pid" | tr -s ' ' '_')
  [ "\${now%_}" = "$start" ] && kill -TERM "$pid"
fi
exit 0
`

export interface Guard {
  readonly identity: () => ProcessIdentity | undefined
  /** Names the process to end; a later one replaces it. */
  readonly watch: (server: ProcessIdentity) => void
  /** Ends the guard without ending what it watches. */
  readonly dismiss: () => void
}

/** Starts a guard, and another one whenever it dies before it is dismissed. */
export function startGuard(onReplaced: () => void): Guard {
  let child: ChildProcess | undefined
  let identity: ProcessIdentity | undefined
  let watched: ProcessIdentity | undefined
  let dismissed = false
  let retry: ReturnType<typeof setTimeout> | undefined

  const tellIt = (): void => {
    if (watched !== undefined && child?.stdin?.writable) {
      child.stdin.write(`${watched.pid} ${watched.startTime}\n`)
    }
  }
  const open = (): void => {
    // Detached: a Ctrl-C at the terminal is meant for the manager alone.
    const started = spawn("/bin/sh", ["-c", script, "troupe-nats-guard"], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"]
    })
    child = started
    identity = started.pid === undefined ? undefined : identityOf(started.pid)
    started.stdin?.on("error", () => {})
    started.on("error", () => reopenLater(started))
    started.on("exit", () => reopenLater(started))
    started.unref()
    tellIt()
  }
  const reopenLater = (from: ChildProcess): void => {
    if (dismissed || child !== from) return
    child = undefined
    identity = undefined
    retry = setTimeout(() => {
      open()
      onReplaced()
    }, 1_000)
  }

  open()
  return {
    identity: () => identity,
    watch: (server) => {
      watched = server
      tellIt()
    },
    dismiss: () => {
      dismissed = true
      clearTimeout(retry)
      if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
        try {
          process.kill(-child.pid, "SIGKILL")
        } catch {
          // It has just ended by itself.
        }
      }
    }
  }
}
