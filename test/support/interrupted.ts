/** Programs that start clusters by hand: told to end, they take away what they started. */
import process from "node:process"

/** Calls `close` and ends the process when it is signalled. What is returned takes that back. */
export function whenInterrupted(close: () => Promise<unknown>): () => void {
  const end = (): void => void close().finally(() => process.exit(130))
  const signals = ["SIGINT", "SIGTERM"] as const
  for (const signal of signals) process.once(signal, end)
  return () => {
    for (const signal of signals) process.removeListener(signal, end)
  }
}
