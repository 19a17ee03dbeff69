/**
 * A process to be killed: opens a group of one and proposes numbered entries, 64 at a time, writing the number of
 * each acknowledged one to stdout. Arguments: directory, text in every entry, how many entries (0 for no end).
 */
import { writeSync } from "node:fs"
import process from "node:process"
import { Effect } from "effect"
import { founding } from "#actors/raft/core/configuration.ts"
import { openGroup } from "#actors/raft/group.ts"
import { hostSettings } from "#actors/raft/host/settings.ts"
import type { StateMachine } from "#actors/raft/protocol.ts"
import { bytesOf, Journal } from "#test/support/journal.ts"
import { noWire } from "#test/support/no-wire.ts"
import { led } from "#test/support/raft-directory.ts"

const [, , directory = "", text = "", count = "0"] = process.argv
const journal: StateMachine = new Journal()

await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const raft = yield* openGroup({
        wire: noWire,
        initial: founding("n1"),
        disk: { segmentBytes: 128 * 1024, reserveBytes: 0, zeroBytes: 32 * 1024 },
        host: { ...hostSettings, snapshotEntries: 500 }
      })({ directory, clusterId: "blue", nodeId: "n1", machine: journal })
      yield* led(raft)
      writeSync(1, "ready\n")
      const end = Number(count) || Number.POSITIVE_INFINITY
      let next = 0
      yield* Effect.callback<void>((resume) => {
        let open = 0
        const more = (): void => {
          if (next >= end) {
            if (open === 0) resume(Effect.void)
            return
          }
          const number = next++
          open++
          raft.propose(
            bytesOf(`${number} ${text}`),
            { proposer: "n1", boot: `b${process.pid}`, seq: number },
            (outcome) => {
              open--
              if (outcome._tag === "Applied") writeSync(1, `${number}\n`)
              more()
            }
          )
        }
        for (let i = 0; i < 64; i++) more()
      })
    })
  )
)
