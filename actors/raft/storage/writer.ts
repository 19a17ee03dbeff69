/**
 * The thread that writes the log and does nothing else: its writes are synchronous and O_DSYNC, so nothing in the
 * rest of the process can hold them up. The first error is its last word.
 */
import { performance } from "node:perf_hooks"
import { parentPort, workerData } from "node:worker_threads"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { type Pace, planScrub } from "#actors/raft/storage/plan-scrub.ts"
import type { Scrubber } from "#actors/raft/storage/scrubber.ts"
import type { SnapshotDraft } from "#actors/raft/storage/snapshot-file.ts"
import { DiskError } from "#actors/raft/storage/vfs.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import { Wal, type WalStatus } from "#actors/raft/storage/wal.ts"
import type { WalState } from "#actors/raft/storage/wal-state.ts"
import type { FromWriter, ToWriter } from "#actors/raft/storage/writer-protocol.ts"
import { assert } from "#runtime/assert.ts"

// Quiet this long, and the end of the log is witnessed: long enough to cost a busy log nothing.
const quietMs = 50
const roomMs = 1_000
const longestTimerMs = 60_000

function serve(port: NonNullable<typeof parentPort>, state: WalState, pace: Pace): void {
  let failed = false
  const say = (message: FromWriter): void => port.postMessage(message)
  /** Runs `work`; whatever it throws ends all work. */
  const carefully = <Input>(work: (input: Input) => void) => {
    return (input: Input): void => {
      if (failed) return
      try {
        work(input)
      } catch (error) {
        failed = true
        const { name, message } = error instanceof Error ? error : new Error(String(error))
        say({ _tag: "Failed", name, message })
      }
    }
  }

  let wal: Wal | undefined
  let draft: SnapshotDraft | undefined
  let preparing = false
  let quiet: ReturnType<typeof setTimeout> | undefined
  let writtenSinceQuiet = false
  /** As the other thread knows it. */
  let told: WalStatus | undefined

  const opened = (): Wal => {
    assert(wal !== undefined, "the log is open")
    return wal
  }
  const tell = (): WalStatus => {
    told = opened().status()
    return told
  }
  const prepare = carefully(() => {
    preparing = wal?.prepare() ?? false
    if (preparing) setImmediate(prepare, undefined)
  })
  const becomeQuiet = carefully(() => {
    quiet = undefined
    if (writtenSinceQuiet) watchQuiet()
    else wal?.witness()
  })
  const watchQuiet = (): void => {
    writtenSinceQuiet = false
    quiet = setTimeout(becomeQuiet, quietMs, undefined)
  }
  const measure = carefully(() => {
    if (wal === undefined) return
    wal.measureRoom()
    performHeld()
    const { low } = wal.status()
    if (low !== (told?.low ?? false)) say({ _tag: "Room", status: tell() })
    if (!low && !preparing) prepare(undefined)
  })

  /** A batch for which there was no room at all, and what came after it: nothing is said of them until there is. */
  const held: Array<ToWriter> = []
  const performHeld = (): void => {
    while (held[0] !== undefined && perform(held[0])) held.shift()
  }
  /** False when there is no room for it; then nothing has changed. */
  const append = ({ token, batch }: Extract<ToWriter, { readonly _tag: "Append" }>): boolean => {
    try {
      opened().append(batch)
    } catch (error) {
      if (!(error instanceof DiskError) || !error.noSpace) throw error
      opened().refuseEntries()
      if (told?.low !== true) say({ _tag: "Room", status: tell() })
      return false
    }
    const before = told
    const status = tell()
    const isNews = before === undefined || !differOnlyInLog(before, status)
    say({ _tag: "Durable", token, logBytes: status.logBytes, ...(isNews && { status }) })
    writtenSinceQuiet = true
    if (quiet === undefined) watchQuiet()
    if (!preparing && opened().wantsPreparation()) {
      preparing = true
      setImmediate(prepare, undefined)
    }
    return true
  }

  /** What runs out of room here may wait: the draft goes, the log stays. */
  const drafting = (work: () => void): void => {
    try {
      work()
    } catch (error) {
      if (!(error instanceof DiskError) || !error.noSpace) throw error
      draft?.abandon()
      draft = undefined
      opened().refuseEntries()
      say({ _tag: "SnapshotEnded", status: tell() })
    }
  }
  const finish = (steps: ReturnType<SnapshotDraft["finish"]>): void => {
    const next = carefully(() =>
      drafting(() => {
        const step = steps.next()
        if (step.done !== true) {
          setImmediate(next, undefined)
          return
        }
        draft = undefined
        opened().adopt(step.value)
        say({ _tag: "SnapshotEnded", stored: step.value, status: tell() })
      })
    )
    next(undefined)
  }

  let round: { readonly scrubber: Scrubber; readonly beganMs: number } | undefined
  let scrubbing: ReturnType<typeof setTimeout> | undefined
  const scrubLater = (): void => {
    if (round === undefined) return
    const { totalBytes, doneBytes } = round.scrubber
    const elapsedMs = performance.now() - round.beganMs
    const waitMs = Math.min(planScrub({ totalBytes, doneBytes, elapsedMs }, pace), longestTimerMs)
    scrubbing = setTimeout(scrub, waitMs, undefined)
  }
  const scrub = carefully(() => {
    if (round === undefined) return
    const { scrubber, beganMs } = round
    if (!scrubber.done) {
      scrubber.step(pace.stepBytes)
      if (scrubber.done) opened().endScrub()
      const { scrubs, damage } = opened().status()
      if (scrubber.done || damage.length > 0) say({ _tag: "Scrubbed", scrubs, damage })
    } else if (performance.now() - beganMs >= pace.periodMs) beginRound()
    scrubLater()
  })
  const beginRound = (): void => {
    round = { scrubber: opened().scrub(), beganMs: performance.now() }
  }
  const stopScrubbing = (): void => {
    clearTimeout(scrubbing)
    round?.scrubber.stop()
    round = undefined
  }

  const room = setInterval(measure, roomMs, undefined)
  const receive = carefully((message: ToWriter) => {
    const waits = held.length > 0 && !["Read", "Quarantine", "Close"].includes(message._tag)
    if (waits || !perform(message)) held.push(message)
  })
  /** False when it must be done later. */
  function perform(message: ToWriter): boolean {
    if (message._tag === "Append") return append(message)
    performOther(message)
    return true
  }
  function performOther(message: Exclude<ToWriter, { readonly _tag: "Append" }>): void {
    switch (message._tag) {
      case "Read":
        say({
          _tag: "Entries",
          id: message.id,
          entries: opened().read(message.from, message.to, message.maxBytes)
        })
        return
      case "BeginSnapshot":
        drafting(() => {
          draft = opened().draft(message.meta)
        })
        return
      case "SnapshotChunks":
        drafting(() => {
          if (draft === undefined) return
          for (const chunk of message.chunks) draft.add(chunk)
          say({ _tag: "ChunksWritten" })
        })
        return
      case "EndSnapshot":
        if (draft !== undefined) finish(draft.finish())
        return
      case "KeepSnapshots":
        opened().keepSnapshots(message.old)
        return
      case "ChangeKeys":
        opened().changeKeys(message.change)
        say({ _tag: "KeysChanged" })
        return
      case "Quarantine":
        clearInterval(room)
        clearTimeout(quiet)
        stopScrubbing()
        opened().quarantine(message.reason)
        wal = undefined
        failed = true
        say({ _tag: "Quarantined" })
        return
      case "Close":
        clearInterval(room)
        clearTimeout(quiet)
        stopScrubbing()
        opened().close()
        wal = undefined
        say({ _tag: "Closed" })
        port.close()
        return
    }
  }
  port.on("message", receive)
  carefully(() => {
    wal = new Wal(nodeVfs, nodeCipher, state)
    prepare(undefined)
    beginRound()
    scrubLater()
  })(undefined)
}

const differOnlyInLog = (a: WalStatus, b: WalStatus): boolean =>
  a.diskBytes === b.diskBytes &&
  a.snapshotIndex === b.snapshotIndex &&
  a.snapshotBytes === b.snapshotBytes &&
  a.low === b.low &&
  a.scrubs === b.scrubs &&
  a.damage === b.damage

if (parentPort !== null) {
  const { state, pace } = workerData as { readonly state: WalState; readonly pace: Pace }
  serve(parentPort, state, pace)
}
