/** Ends what the process executor started under a folder, however the test that used it went. */
import { readdirSync } from "node:fs"
import { type ProcessIdentity, signalGroup, signalProcess } from "#actors/drivers/machine/process-identity.ts"
import { processPath, readRecord, shimPath } from "#actors/drivers/process/records.ts"

/** Kills every shim and its task; both outlive their node on purpose, and a shim takes no TERM. Missing folders are empty. */
export function endProcesses(root: string): void {
  for (const id of foldersIn(root)) {
    const shim = readRecord<ProcessIdentity>(shimPath(root, id))
    const task = readRecord<ProcessIdentity>(processPath(root, id))
    // The shim first, which would otherwise write down how its task ended.
    if (shim) signalProcess(shim, "SIGKILL")
    if (task) signalGroup(task, "SIGKILL")
  }
}

function foldersIn(root: string): ReadonlyArray<string> {
  try {
    return readdirSync(root)
  } catch {
    return []
  }
}
