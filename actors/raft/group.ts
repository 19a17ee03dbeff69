/** Opens this member of the group on the machine's disk, and drives it: a clock, chance and a wire, nothing more. */
import { randomBytes } from "node:crypto"
import { performance } from "node:perf_hooks"
import process from "node:process"
import { clearInterval, setImmediate, setInterval } from "node:timers"
import { Effect, Schedule, Schema, type Scope } from "effect"
import { type Configuration, isVoter, membersOf } from "#actors/raft/core/configuration.ts"
import { Gauges } from "#actors/raft/gauges.ts"
import { Member, type ChangeOutcome as MemberChange } from "#actors/raft/host/member.ts"
import type { HostSettings } from "#actors/raft/host/protocol.ts"
import { hostSettings } from "#actors/raft/host/settings.ts"
import type { Incarnation } from "#actors/raft/incarnation.ts"
import { type Disk, judge, startWatch } from "#actors/raft/judge.ts"
import {
  aloneAs,
  type ChangeOutcome,
  type GroupService,
  NoLeader,
  type OpenRaft,
  type RaftService,
  type RaftStatus,
  readIndexBy
} from "#actors/raft/protocol.ts"
import { UnknownFormat } from "#actors/raft/storage/block.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { diskStorage, LogWriterFailed } from "#actors/raft/storage/disk.ts"
import { defaultLimits, type Limits, raftDirectory } from "#actors/raft/storage/layout.ts"
import { DirectoryInUse, lockDirectory } from "#actors/raft/storage/lock.ts"
import { openLog, WrongOwner } from "#actors/raft/storage/open.ts"
import { DiskError } from "#actors/raft/storage/vfs.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import type { Locked, Quarantine, Storage } from "#actors/raft/storage.ts"
import type { Turns } from "#actors/raft/turns.ts"
import type { RaftWire } from "#actors/raft/wire.ts"
import type { FreshState } from "#runtime/ids.ts"
import { wordsOf } from "#runtime/words-of.ts"

/** The log cannot be opened, and waiting will not help except for `in-use` and `disk`; for `full` it was waited. */
export class RaftOpenError extends Schema.TaggedError<RaftOpenError>()("RaftOpenError", {
  directory: Schema.String,
  reason: Schema.Literals(["in-use", "unknown-format", "wrong-owner", "disk", "full", "state-machine"]),
  message: Schema.String
}) {}

/** How a process ends whose log failed; EX_TEMPFAIL, a supervisor may start it again. */
const fatalExitCode = 75
/** A member that should close and cannot, because it hears no clock of the others, is let go of. */
const closeWithin = "5 seconds"
/** Two election timeouts: who has not taken over by then will not. */
const handOverWithin = "2 seconds"

export interface GroupSettings {
  readonly wire: RaftWire
  /** Who is in the group as long as the log does not say: its founder alone, or nobody for a member that joins. */
  readonly initial: Configuration
  /** Of the group, where the log begins here. */
  readonly incarnation?: Incarnation
  readonly host?: HostSettings
  readonly disk?: Limits
  /**
   * Told once when nothing may be promised any more; by default it writes the reason to stderr and ends the process
   * with `fatalExitCode`.
   */
  readonly halted?: (error: Error) => void
  /** The wrapping key when people hold it. */
  readonly unlockKey?: Uint8Array
}

const endProcess = (error: Error): void => {
  process.stderr.write(`The log has failed, this process ends: ${error.message}\n`)
  process.exit(fatalExitCode)
}

/** Who was answered and asks again does so within this; those who only follow can wait as long. */
const shortlyMs = 3

const turns: Turns = {
  soon: (turn) => queueMicrotask(turn),
  later: (turn) => void setImmediate(turn),
  shortly: (turn) => void setTimeout(turn, shortlyMs),
  monotonic: () => performance.now()
}

/**
 * A member of the group in `directory` (the node's data directory; the log is in `raft` under it), called `nodeId`
 * there. Completes when its state is back; who leads shows after that. A member whose data are damaged or locked
 * serves `status` with the problem and refuses everything else. Closing the scope hands leadership over, completes
 * what was accepted and takes a last snapshot.
 */
export const openGroup = (settings: GroupSettings): OpenRaft<RaftOpenError> =>
  Effect.fn("raft.open")(function* ({
    directory,
    clusterId,
    nodeId,
    machine
  }): Effect.fn.Return<RaftService, RaftOpenError, Scope.Scope> {
    const attempt = <A>(work: () => A) => Effect.try({ try: work, catch: openError(directory) })
    yield* Effect.acquireRelease(
      attempt(() => {
        nodeVfs.makeDirectory(raftDirectory(directory))
        return lockDirectory(raftDirectory(directory))
      }),
      ({ release }) => Effect.sync(release)
    ).pipe(whenThereIsRoom)
    const limits = settings.disk ?? defaultLimits
    const opening = attempt(() =>
      openLog({
        vfs: nodeVfs,
        cipher: nodeCipher,
        directory,
        owner: { clusterId, nodeId },
        limits,
        nowMs: Date.now(),
        ...(settings.unlockKey === undefined ? {} : { unlockKey: settings.unlockKey }),
        ...(settings.incarnation === undefined ? {} : { incarnation: settings.incarnation })
      })
    )
    const opened = yield* whenThereIsRoom(opening)
    if (opened._tag !== "Recovered") {
      yield* Effect.logError(`The log in ${directory} takes no part: ${opened.reason}`)
      return idleService(nodeId, opened)
    }
    for (const note of opened.recovered.notes) yield* Effect.logWarning(note)

    const { wire, initial, host = hostSettings } = settings
    const gauges = new Gauges()
    let member: Member | undefined
    let disk: Storage | undefined
    // Before the member, so that they end after it: closing takes ticks and messages.
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        wire.listen({
          received: (message) => {
            gauges.heard(message.from, performance.now())
            member?.receive(message)
          },
          unreachable: (node) => member?.unreachable(node),
          gone: (node) => {
            gauges.hinted(node, performance.now())
            member?.peerGone(node)
          }
        })
      ),
      (listening) => Effect.sync(() => listening.unsubscribe())
    )
    let tickedAt = performance.now()
    const tick = (): void => {
      const now = performance.now()
      gauges.ticked(now - tickedAt - host.core.tickMs)
      tickedAt = now
      member?.tick()
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => setInterval(tick, host.core.tickMs)),
      (clock) => Effect.sync(() => clearInterval(clock))
    )
    const making = Effect.try({
      try: () => {
        const storage = diskStorage(opened, (error) => made.halt(error))
        disk = storage
        const made: Member = new Member({
          id: nodeId,
          boot: randomBytes(8).toString("hex"),
          initial,
          settings: host,
          chance: chance(),
          storage: timed(storage, gauges),
          machine,
          turns,
          send: wire.send,
          halted: settings.halted ?? endProcess,
          quarantined: () => {}
        })
        member = made
        return made
      },
      catch: (problem) => {
        const said = wordsOf(problem)
        const message = `Cannot bring back the state in ${directory}: ${said}`
        const reason = problem instanceof LogWriterFailed ? "disk" : "state-machine"
        return new RaftOpenError({ directory, reason, message })
      }
    })
    const made = yield* Effect.acquireRelease(making, close)
    made.onLeadership((leadership) => gauges.followed(leadership))
    yield* Effect.forkScoped(warn(gauges, () => roomOn(directory, limits, disk)))
    return {
      ...serviceOf(made),
      keepSnapshots: (old) => disk?.keepSnapshots(old),
      wrapKeys: (wrap) => Effect.callback<void>((resume) => disk?.wrapKeys(wrap, () => resume(Effect.void))),
      figures: () => ({ ...made.figures(), gauges })
    }
  })

/** The storage, with every write measured. */
const timed = (storage: Storage, gauges: Gauges): Storage => ({
  ...storage,
  persist: (batch, durable) => {
    const began = performance.now()
    storage.persist(batch, (token) => {
      gauges.wrote(performance.now() - began)
      durable(token)
    })
  }
})

/** Tries once a second for as long as the disk is full: starting again and again would change nothing. */
const whenThereIsRoom = <A, R>(attempt: Effect.Effect<A, RaftOpenError, R>) => {
  const isFull = ({ reason }: RaftOpenError): boolean => reason === "full"
  return attempt.pipe(
    Effect.catchIf(isFull, ({ message }) =>
      Effect.logWarning(`${message}: the log is opened as soon as there is room`).pipe(
        Effect.andThen(Effect.retry(attempt, { while: isFull, schedule: Schedule.spaced("1 second") }))
      )
    )
  )
}

const roomOn = (directory: string, limits: Limits, storage: Storage | undefined): Disk => {
  const wantedBytes = limits.reserveBytes + limits.segmentBytes
  const freeBytes = freeOn(directory)
  // What the storage knows may be a second old.
  return {
    directory,
    low: storage?.status().low === true && freeBytes < wantedBytes,
    freeBytes,
    wantedBytes
  }
}

/** Whether a disk answers at all is not asked here. */
function freeOn(directory: string): number {
  try {
    return nodeVfs.freeBytes(directory)
  } catch {
    return 0
  }
}

/** Looks once a second whether something is about to become a problem. */
const warn = (gauges: Gauges, room: () => Disk): Effect.Effect<never> =>
  Effect.suspend(() => {
    let watch = startWatch
    const look = Effect.suspend(() => {
      const found = judge(watch, gauges.take(Date.now(), performance.now(), room()))
      watch = found.watch
      return Effect.forEach(found.warnings, ({ message }) => Effect.logWarning(message), { discard: true })
    })
    return look.pipe(Effect.andThen(Effect.sleep("1 second")), Effect.forever)
  })

const close = (member: Member): Effect.Effect<void> =>
  Effect.callback<void>((resume) => member.close(() => resume(Effect.void))).pipe(
    Effect.timeoutOrElse({ duration: closeWithin, orElse: () => Effect.void })
  )

const chance = (): FreshState => {
  const bytes = randomBytes(16)
  return [bytes.readUInt32LE(0), bytes.readUInt32LE(4), bytes.readUInt32LE(8), bytes.readUInt32LE(12)]
}

/** A member as those see it who use the log. */
export const serviceOf = (member: Member): RaftService => ({
  propose: (data, id, done, onlyInTerm) =>
    member.propose(data, id, done, onlyInTerm === undefined ? {} : { onlyInTerm }),
  readIndex: readIndexBy((done) => member.readIndex(done)),
  status: () => member.status(),
  leadership: () => member.leadership(),
  onLeadership: (listen) => member.onLeadership(listen),
  compact: Effect.callback<void>((resume) => member.compact(() => resume(Effect.void))),
  snapshotEvery: (entries) => member.snapshotEvery(entries),
  group: groupOf(member)
})

const groupOf = (member: Member): GroupService => ({
  view: () => {
    const { id, configuration, configurationIndex, commit, peers } = member.inspect()
    const heard = new Map(peers.map((peer) => [peer.id, peer.silentTicks]))
    const isReachable = (node: string): boolean =>
      node === id || (heard.get(node) ?? Number.POSITIVE_INFINITY) < hostSettings.core.electionTicks
    return {
      members: membersOf(configuration).map((node) => ({
        id: node,
        voter: isVoter(configuration, node),
        reachable: isReachable(node)
      })),
      removed: configuration.removed,
      settled: configurationIndex <= commit
    }
  },
  change: (change, force = false) =>
    Effect.callback<ChangeOutcome>((resume) =>
      member.change(change, force, (result) => resume(Effect.succeed(outcomeOf(result))))
    ),
  handOver: Effect.callback<boolean>((resume) =>
    member.transfer(undefined, (result) => {
      if (result._tag !== "Started") return resume(Effect.succeed(false))
      // Not as soon as it leads no longer: until the successor is there, this member's vote may be needed.
      const following = member.onLeadership((word) => {
        if (word._tag === "Leading" || word.leader === undefined) return
        queueMicrotask(() => {
          following.unsubscribe()
          resume(Effect.succeed(true))
        })
      })
    })
  ).pipe(Effect.timeoutOrElse({ duration: handOverWithin, orElse: () => Effect.succeed(false) }))
})

function outcomeOf(result: MemberChange): ChangeOutcome {
  switch (result._tag) {
    case "Appended":
      return { _tag: "Changed" }
    case "Refused":
    case "Unknown":
      return result
    case "NotLeader":
      return { _tag: "NotLeader" }
    case "Transferring":
      return { _tag: "Refused", reason: "leadership is being handed over" }
    case "Overloaded":
      return { _tag: "Refused", reason: "too much waits to be written" }
  }
}

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
    const message = wordsOf(error)
    const reason =
      error instanceof DirectoryInUse
        ? "in-use"
        : error instanceof UnknownFormat
          ? "unknown-format"
          : error instanceof WrongOwner
            ? "wrong-owner"
            : error instanceof DiskError
              ? error.noSpace
                ? "full"
                : "disk"
              : undefined
    if (reason === undefined) throw error
    return new RaftOpenError({
      directory,
      reason,
      message: reason === "unknown-format" ? `Cannot open ${raftDirectory(directory)}: ${message}` : message
    })
  }
