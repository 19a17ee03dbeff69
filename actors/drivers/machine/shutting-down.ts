/** Whether this machine is on its way down, rather than this process alone. */
import { execFile } from "node:child_process"
import { Effect } from "effect"

const withinMs = 300

/** What systemd says, where it runs; elsewhere nobody can tell, and no is the answer. */
export const isShuttingDown: Effect.Effect<boolean> = Effect.callback((resume) => {
  execFile("systemctl", ["is-system-running"], { timeout: withinMs }, (_error, said) =>
    resume(Effect.succeed(String(said ?? "").trim() === "stopping"))
  )
})
