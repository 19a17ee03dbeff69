/** Where a node keeps what it has, unless told: known to the daemon and to the commands that look for it alike. */
import { createHash } from "node:crypto"
import { homedir } from "node:os"
import { join, resolve } from "node:path"
import process from "node:process"

const isRoot = process.getuid?.() === 0

export const usualDataDir = isRoot ? "/var/lib/troupe" : join(homedir(), ".local/share/troupe")

/** For sockets and memory-backed files of this data directory; no two data directories share one. */
export function runDirOf(dataDir: string): string {
  const root = isRoot ? "/run/troupe" : (process.env.XDG_RUNTIME_DIR ?? join(dataDir, "run"))
  return join(root, createHash("sha256").update(resolve(dataDir)).digest("hex").slice(0, 12))
}

/** The Engine API's socket of the node with this data directory. */
export const usualSocketOf = (dataDir: string): string =>
  isRoot ? "/run/troupe/docker.sock" : join(runDirOf(dataDir), "docker.sock")

/** Where plugins for cluster volumes have their sockets: one place for all nodes of the machine, where root may say so. */
export const usualCsiPluginsOf = (dataDir: string): string =>
  isRoot ? "/run/troupe/csi" : join(runDirOf(dataDir), "csi")
