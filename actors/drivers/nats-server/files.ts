/** Files of the NATS server's directory: whole or not at all, and readable by their owner only. */
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"

/** Where everything about this node's nats-server lies. */
export interface NatsPaths {
  readonly root: string
  readonly config: string
  readonly keys: string
  readonly creds: string
  readonly ports: string
  readonly state: string
  readonly log: string
  readonly output: string
}

export function natsPaths(dataDir: string): NatsPaths {
  const root = join(dataDir, "nats")
  return {
    root,
    config: join(root, "server.conf"),
    keys: join(root, "keys.json"),
    creds: join(root, "creds"),
    ports: join(root, "ports"),
    state: join(root, "server.json"),
    log: join(root, "server.log"),
    output: join(root, "server.out")
  }
}

/** Makes a directory that only its owner enters, also when it was there with wider rights. */
export function privateDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  chmodSync(path, 0o700)
}

/** Replaces `path` by rename, so that a reader meets the old text or the new one. Mode 0600. */
export function writePrivate(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, text, { mode: 0o600 })
  chmodSync(temporary, 0o600)
  renameSync(temporary, path)
}

/** The text of a file, `undefined` when there is none. Other errors are thrown. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw error
  }
}
