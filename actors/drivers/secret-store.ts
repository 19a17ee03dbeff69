/** Files of a task that must never touch a disk: a directory per task in memory, gone with the task. */
import { Context, type Effect, Schema } from "effect"

export class SecretStoreError extends Schema.TaggedError<SecretStoreError>()("SecretStoreError", {
  message: Schema.String
}) {}

export interface MemoryFile {
  /** Unique within the task; becomes a file name after encoding. */
  readonly key: string
  readonly data: Uint8Array
  readonly uid: number
  readonly gid: number
  /** Permission bits, 0o444 by default in Swarm. */
  readonly mode: number
}

export interface SecretStoreService {
  /** Writes the task's files and returns the path of each by key, for read-only bind mounts. */
  readonly keep: (
    taskId: string,
    files: ReadonlyArray<MemoryFile>
  ) => Effect.Effect<Readonly<Record<string, string>>, SecretStoreError>
  readonly forget: (taskId: string) => Effect.Effect<void, SecretStoreError>
  /** Forgets every task but these; for what a crash left over. */
  readonly sweep: (taskIds: ReadonlyArray<string>) => Effect.Effect<void, SecretStoreError>
}

export class SecretStore extends Context.Service<SecretStore, SecretStoreService>()(
  "troupe/actors/drivers/SecretStore"
) {}
