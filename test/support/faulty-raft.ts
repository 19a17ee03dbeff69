/**
 * A log that ends some proposals the other ways they may end, so that every caller is seen to handle them:
 * `Unknown` with and without the entry applied, `NotLeader`, `Overloaded`.
 */
import type { ProposeOutcome, RaftService } from "#actors/raft/protocol.ts"

/** How one proposal ends. `unknown-applied` applies it and does not say so. */
export type Fate = "pass" | "unknown-applied" | "unknown-lost" | "not-leader" | "overloaded"

export interface FaultyRaft {
  readonly raft: RaftService
  /** Fates of the next proposals, in order; `pass` after them. */
  readonly script: (...fates: ReadonlyArray<Fate>) => void
  /** Asked for each proposal after the script, e.g. with a seeded source; `undefined` for none. */
  readonly decide: (choose: (() => Fate) | undefined) => void
  readonly counts: Readonly<Record<Fate, number>>
}

/** Wraps any log. Refusals are told in a turn begun by `defer`, as a real log would. */
export function faultyRaft(
  inner: RaftService,
  defer: (turn: () => void) => void = queueMicrotask
): FaultyRaft {
  const script: Array<Fate> = []
  let choose: (() => Fate) | undefined
  const counts: Record<Fate, number> = {
    pass: 0,
    "unknown-applied": 0,
    "unknown-lost": 0,
    "not-leader": 0,
    overloaded: 0
  }
  const unknown: ProposeOutcome = { _tag: "Unknown", message: "leadership was lost before the answer" }
  return {
    counts,
    script: (...fates) => void script.push(...fates),
    decide: (chosen) => {
      choose = chosen
    },
    raft: {
      ...inner,
      propose: (data, id, done, onlyInTerm) => {
        const fate = script.shift() ?? choose?.() ?? "pass"
        counts[fate]++
        switch (fate) {
          case "pass":
            inner.propose(data, id, done, onlyInTerm)
            return
          case "unknown-applied":
            inner.propose(
              data,
              id,
              (outcome) => done(outcome._tag === "Applied" ? unknown : outcome),
              onlyInTerm
            )
            return
          case "unknown-lost":
            defer(() => done(unknown))
            return
          case "not-leader":
            defer(() => done({ _tag: "NotLeader" }))
            return
          case "overloaded":
            defer(() => done({ _tag: "Overloaded", message: "8192 proposals wait for the disk" }))
            return
        }
      }
    }
  }
}
