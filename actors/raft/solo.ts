/** Opens a group of one on the machine's disk. Consensus among several takes this one's place over the same log. */
import { performance } from "node:perf_hooks"
import process from "node:process"
import { Effect, Schema, type Scope } from "effect"
import { aloneAs, NoLeader, type OpenRaft, type RaftService, type RaftStatus } from "#actors/raft/protocol.ts"
import { type SoloLimits, SoloMember, soloLimits } from "#actors/raft/solo-member.ts"
import { UnknownFormat } from "#actors/raft/storage/block.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { diskStorage, LogWriterFailed } from "#actors/raft/storage/disk.ts"
import { defaultLimits, type Limits, raftDirectory } from "#actors/raft/storage/layout.ts"
import { DirectoryInUse, lockDirectory } from "#actors/raft/storage/lock.ts"
import { openLog, WrongOwner } from "#actors/raft/storage/open.ts"
import { DiskError } from "#actors/raft/storage/vfs.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import type { Locked, Quarantine } from "#actors/raft/storage.ts"
import type { Turns } from "#actors/raft/turns.ts"

/** The log cannot be opened, and waiting will not help except for `in-use` and `disk`. */
export class RaftOpenError extends Schema.TaggedError<RaftOpenError>()("RaftOpenError", {
  directory: Schema.String,
  reason: Schema.Literals(["in-use", "unknown-format", "wrong-owner", "disk", "state-machine"]),
  message: Schema.String
}) {}

/** How a process ends whose log failed; EX_TEMPFAIL, a supervisor may start it again. */
const fatalExitCode = 75

/**
 * `halted` is told once when nothing may be promised any more; by default it writes the reason to stderr and ends
 * the process with `fatalExitCode`. `unlockKey` is the wrapping key when people hold it.
 */
export interface SoloSettings {
  readonly limits: SoloLimits
  readonly disk: Limits
  readonly halted: (error: Error) => void
  readonly unlockKey?: Uint8Array
}

const endProcess = (error: Error): void => {
  process.stderr.write(`The log has failed, this process ends: ${error.message}\n`)
  process.exit(fatalExitCode)
}

const turns: Turns = {
  soon: (turn) => queueMicrotask(turn),
  later: (turn) => void setImmediate(turn),
  monotonic: () => performance.now()
}

type Options = Parameters<OpenRaft<RaftOpenError>>[0]

/**
 * A one-member group in `directory` (the node's data directory; the log is in `raft` under it). It leads when the
 * effect completes, unless its data are damaged or locked: then it serves `status` with the problem and refuses
 * everything else. Closing the scope completes what was accepted and takes a last snapshot.
 */
export const openSolo = Effect.fn("raft.openSolo")(function* (
  options: Options,
  settings: Partial<SoloSettings> = {}
): Effect.fn.Return<RaftService, RaftOpenError, Scope.Scope> {
  const { directory, clusterId, nodeId, machine } = options
  const attempt = <A>(work: () => A) => Effect.try({ try: work, catch: openError(directory) })

  yield* Effect.acquireRelease(
    attempt(() => {
      nodeVfs.makeDirectory(raftDirectory(directory))
      return lockDirectory(raftDirectory(directory))
    }),
    ({ release }) => Effect.sync(release)
  )
  const opened = yield* attempt(() =>
    openLog({
      vfs: nodeVfs,
      cipher: nodeCipher,
      directory,
      owner: { clusterId, nodeId },
      limits: settings.disk ?? defaultLimits,
      nowMs: Date.now(),
      ...(settings.unlockKey === undefined ? {} : { unlockKey: settings.unlockKey })
    })
  )
  if (opened._tag !== "Recovered") {
    yield* Effect.logError(`The log in ${directory} takes no part: ${opened.reason}`)
    return idleService(nodeId, opened)
  }
  for (const note of opened.recovered.notes) yield* Effect.logWarning(note)

  let starting = true
  const halted = settings.halted ?? endProcess
  const member = yield* Effect.acquireRelease(
    attempt(() => {
      const storage = diskStorage(opened, (error) => made.halt(error))
      const made: SoloMember = new SoloMember({
        nodeId,
        storage,
        machine,
        turns,
        limits: settings.limits ?? soloLimits,
        // A failure while opening is the opener's to handle.
        halted: (error) => (starting ? undefined : halted(error))
      })
      return made
    }),
    (made) => Effect.callback<void>((resume) => made.close(() => resume(Effect.void)))
  )
  yield* Effect.callback<void, RaftOpenError>((resume) =>
    member.start((problem) => {
      starting = false
      if (problem === undefined) resume(Effect.void)
      else {
        const message = `Cannot bring back the state in ${directory}: ${problem.message}`
        const reason = problem instanceof LogWriterFailed ? "disk" : "state-machine"
        resume(Effect.fail(new RaftOpenError({ directory, reason, message })))
      }
    })
  )
  return serviceOf(member)
})

const serviceOf = (member: SoloMember): RaftService => ({
  propose: (data, _id, done) => member.propose(data, done),
  readIndex: Effect.callback<number, NoLeader>((resume) =>
    member.readIndex((answer) =>
      resume(typeof answer === "number" ? Effect.succeed(answer) : Effect.fail(answer))
    )
  ),
  status: () => member.status(),
  leadership: () => member.leadership(),
  onLeadership: (listen) => member.onLeadership(listen),
  compact: Effect.callback<void>((resume) => member.compact(() => resume(Effect.void))),
  group: aloneAs(member.status().nodeId)
})

/** Takes no part, and says why to whoever asks. */
function idleService(nodeId: string, found: Quarantine | Locked): RaftService {
  const status: RaftStatus = {
    nodeId,
    role: found._tag === "Locked" ? "locked" : "quarantined",
    term: 0,
    commit: 0,
    applied: 0,
    lastIndex: 0,
    snapshotIndex: 0,
    diskBytes: 0,
    problem: found.reason
  }
  return {
    propose: (_data, _id, done) => queueMicrotask(() => done({ _tag: "NotLeader" })),
    readIndex: Effect.suspend(() => Effect.fail(new NoLeader(found.reason))),
    status: () => status,
    leadership: () => ({ _tag: "Following", term: 0 }),
    onLeadership: (listen) => {
      listen({ _tag: "Following", term: 0 })
      return { unsubscribe: () => {} }
    },
    compact: Effect.void,
    group: aloneAs(nodeId)
  }
}

const openError =
  (directory: string) =>
  (error: unknown): RaftOpenError => {
    const message = error instanceof Error ? error.message : String(error)
    const reason =
      error instanceof DirectoryInUse
        ? "in-use"
        : error instanceof UnknownFormat
          ? "unknown-format"
          : error instanceof WrongOwner
            ? "wrong-owner"
            : error instanceof DiskError
              ? "disk"
              : undefined
    if (reason === undefined) throw error
    return new RaftOpenError({
      directory,
      reason,
      message: reason === "unknown-format" ? `Cannot open ${raftDirectory(directory)}: ${message}` : message
    })
  }
