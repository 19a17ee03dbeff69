/** Why a part of this machine's network cannot be changed from here, or the change would not be the Engine's. */
import process from "node:process"

export function hindrance(dockerHost: string): string | undefined {
  if (process.platform !== "linux") return "this is not Linux"
  if (!dockerHost.startsWith("unix://")) return `the Engine is elsewhere (${dockerHost})`
  return process.getuid?.() === 0 ? undefined : "this is not root"
}
