/**
 * A shell that holds a pipe to the manager and ends nats-server a little after the manager is gone.
 *
 * The server must outlive a crashed manager for a moment, because its news of the closed connection is what tells
 * the other managers; and it must not outlive it for long. A shell, because it costs 1 MB where another
 * runtime would cost 40. It is told everything in its arguments: what one writes to a pipe may still be in
 * the writer's memory when the writer is killed.
 */
import type { ChildProcess } from "node:child_process"
import process from "node:process"
import { identityOf, type ProcessIdentity } from "#actors/drivers/machine/process-identity.ts"
import { spawn } from "#runtime/platform.ts"

/** How long nats-server outlives a manager that crashed, in seconds. */
const graceSeconds = 2

/** `$1` is the server's pid, `$2` when it started: the process is ended only if it is still that one. */
const script = `
pid=$1 start=$2
while read -r line; do :; done
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

const reopenAfterMs = 1_000

export interface Guard {
  readonly identity: () => ProcessIdentity | undefined
  /** Guards this server from now on, and no longer the one before it. */
  readonly watch: (server: ProcessIdentity) => void
  /** Ends the guard without ending what it watches. */
  readonly dismiss: () => void
}

/** Guards `server`, with another shell whenever one dies before it is dismissed; `onReplaced` is told of that. */
export function startGuard(server: ProcessIdentity, onReplaced: () => void): Guard {
  let child: ChildProcess
  let identity: ProcessIdentity | undefined
  let watched = server
  let retry: ReturnType<typeof setTimeout> | undefined

  const open = (): void => {
    // Detached: a Ctrl-C at the terminal is meant for the manager alone.
    const started = spawn(
      "/bin/sh",
      ["-c", script, "troupe-nats-guard", String(watched.pid), watched.startTime],
      { detached: true, stdio: ["pipe", "ignore", "ignore"] }
    )
    const reopenLater = (): void => {
      if (child !== started || identity === undefined) return
      identity = undefined
      retry = setTimeout(() => {
        open()
        onReplaced()
      }, reopenAfterMs)
    }
    child = started
    identity = started.pid === undefined ? undefined : identityOf(started.pid)
    started.stdin?.on("error", () => {})
    started.on("error", reopenLater)
    started.on("exit", reopenLater)
    started.unref()
  }
  const close = (): void => {
    clearTimeout(retry)
    identity = undefined
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    try {
      process.kill(-child.pid, "SIGKILL")
    } catch {
      // It has just ended by itself.
    }
  }

  open()
  return {
    identity: () => identity,
    watch: (next) => {
      if (next.pid === watched.pid && next.startTime === watched.startTime) return
      close()
      watched = next
      open()
    },
    dismiss: close
  }
}
