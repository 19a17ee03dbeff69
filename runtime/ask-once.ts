/**
 * A question that is asked again until it is answered, under one id, so that it is handled at most once (`once.ts`).
 *
 * It is asked again when nobody answers for a while, when nobody is there yet, and as soon as the transport has found
 * another way. The first answer to any of the attempts counts.
 */
import type { Absence } from "#runtime/errors.ts"
import type { Host } from "#runtime/host.ts"
import type { Once } from "#runtime/once.ts"
import { timedOut } from "#runtime/transport/outcomes.ts"
import type { TransportService } from "#runtime/transport.ts"
import type { Outcome } from "#runtime/wire.ts"

/** An attempt that is not answered by then is made again; the receiver goes on with the first one meanwhile. */
const attemptMs = 1_000
const firstPauseMs = 25
const longestPauseMs = 400

export interface OnceAsking {
  readonly host: Host
  readonly transport: TransportService
  readonly name: string
  readonly id: string
  readonly withinMs: number
  /** Makes one attempt; what it returns takes it back. `leftMs` is what is left for all of them. */
  readonly attempt: (
    once: Once,
    leftMs: number,
    done: (outcome: Outcome, silent: boolean) => void
  ) => () => void
}

type Verdict = "final" | "not handled" | "perhaps handled"

/** What an attempt's outcome means for the next one. `silent`: the receiver itself has said nothing. */
function verdictOn(outcome: Outcome, silent: boolean): Verdict {
  switch (outcome._tag) {
    case "NotHere":
    case "MailboxFull":
      return "not handled"
    case "Unreachable":
      // A receiver says so of an answer that cannot be carried.
      return silent ? "not handled" : "final"
    case "TimedOut":
      return "perhaps handled"
    default:
      return "final"
  }
}

/** Asks until there is an answer, a refusal, or no time left. `done` is called once, unless what is returned is called. */
export function askOnce(asking: OnceAsking, done: (outcome: Outcome) => void): () => void {
  const { host, transport, name, id, withinMs, attempt } = asking
  const begun = host.monotonic()
  const leftMs = (): number => withinMs - (host.monotonic() - begun)
  let attempts = 0
  let pauseMs = firstPauseMs
  /** When the attempt under way was made, and when the first one of which nobody knows whether it was handled. */
  let madeAt: number | undefined
  let unsureSince: number | undefined
  let why: Absence | undefined
  let open = true
  let takeBack = (): void => {}

  const finish = (outcome: Outcome): void => {
    if (!open) return
    close()
    done(outcome)
  }
  const close = (): void => {
    open = false
    takeBack()
    cancelEnd()
    status.unsubscribe()
  }
  const next = (): void => {
    takeBack()
    unsureSince ??= madeAt
    madeAt = host.monotonic()
    attempts = unsureSince === undefined ? 1 : attempts + 1
    const ageMs = madeAt - (unsureSince ?? madeAt)
    const waitMs = Math.max(1, Math.min(attemptMs, leftMs()))
    takeBack = attempt({ id, attempt: attempts, ageMs, waitMs }, Math.max(1, leftMs()), heard)
  }
  const heard = (outcome: Outcome, silent: boolean): void => {
    if (!open) return
    const verdict = verdictOn(outcome, silent)
    if (verdict === "final" || outcome._tag === "Answer") {
      finish(outcome)
      return
    }
    if (verdict === "not handled") {
      why = outcome
      madeAt = undefined
    }
    takeBack = host.after(verdict === "perhaps handled" ? 0 : pauseMs, next)
    pauseMs = Math.min(longestPauseMs, pauseMs * 2)
  }
  const cancelEnd = host.after(withinMs, () => {
    const isUnsure = unsureSince !== undefined || madeAt !== undefined
    finish(isUnsure || why === undefined ? timedOut(name, withinMs) : why)
  })
  const status = transport.onStatus((change) => {
    // What was under way may have gone down with the connection, or its answer.
    if (change._tag === "Connected" && open) next()
  })
  next()
  return () => {
    if (open) close()
  }
}
