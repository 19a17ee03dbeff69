/** The end of a process that need not be our child. Apart from its identity, which programs without Effect need, too. */
import { Effect } from "effect"
import { isAlive, type ProcessIdentity, signalProcess } from "#actors/drivers/machine/process-identity.ts"

const usuallyWithinMs = 5_000
const lookEveryMs = 20

/** Ends a process: asked first, killed when it has not gone in time. Completes when it is gone. */
export const stopProcess = (identity: ProcessIdentity, withinMs = usuallyWithinMs): Effect.Effect<void> =>
  Effect.promise(async () => {
    signalProcess(identity, "SIGTERM")
    for (let waited = 0; waited < withinMs; waited += lookEveryMs) {
      if (!isAlive(identity)) return
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs))
    }
    signalProcess(identity, "SIGKILL")
    while (isAlive(identity)) await new Promise((resolve) => setTimeout(resolve, lookEveryMs))
  })
