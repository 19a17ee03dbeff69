/** Where everything about one node's nats-server lies. */
import { join } from "node:path"

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
