/** Tasks that the cluster has forgotten, of which nodes still keep lines. */
import { Effect, Schema } from "effect"
import type { TaskFacts } from "#actors/drivers/log-store/task-facts.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import type { WantedTasks } from "#actors/logs/decide.ts"
import { LogsAnswer } from "#actors/logs/protocol.ts"
import type { Service, Task } from "#actors/model/objects.ts"
import { address } from "#runtime/address.ts"
import type { SystemService } from "#runtime/system.ts"

/** A node that does not say by then has nothing to add: what is asked for is what can be had. */
const patienceMs = 1_000
const nodesAtOnce = 64

const decodeAnswer = Schema.decodeUnknownEffect(LogsAnswer)

/** From every node that is not down, without those that the ledger has. */
export const earlierTasks = (
  { ledger, system }: { readonly ledger: LedgerService; readonly system: Pick<SystemService, "ask"> },
  wanted: WantedTasks
): Effect.Effect<ReadonlyArray<Task>> =>
  Effect.suspend(() => {
    const nodes = [...ledger.read.all("node")].filter(({ Status }) => Status.State !== "down")
    const asked = nodes.map(({ ID: node }) =>
      system.ask<unknown>(address(node, "logs", "main"), { _tag: "List", ...wanted }, patienceMs).pipe(
        Effect.flatMap(decodeAnswer),
        Effect.map((answer) => (answer._tag === "Kept" ? answer.tasks : [])),
        Effect.catch(() => Effect.succeed<ReadonlyArray<TaskFacts>>([])),
        Effect.map((tasks) =>
          tasks.map((kept) => asTask(kept, node, ledger.read.get("service", kept.service)))
        )
      )
    )
    return Effect.map(Effect.all(asked, { concurrency: nodesAtOnce }), (found) =>
      found.flat().filter(({ ID }) => ledger.read.get("task", ID) === undefined)
    )
  })

/** As much of the task as can be told from what is kept: enough to name it. */
function asTask({ task, name, service }: TaskFacts, node: string, owner: Service | undefined): Task {
  const slot = /\.(\d+)\.[^.]+$/.exec(name)?.[1]
  const unknown = "0001-01-01T00:00:00Z"
  return {
    ID: task,
    Version: { Index: 0 },
    CreatedAt: unknown,
    UpdatedAt: unknown,
    ServiceID: service,
    SpecVersion: owner?.SpecVersion ?? 0,
    ...(slot !== undefined && { Slot: Number(slot) }),
    NodeID: node,
    Status: { Timestamp: unknown, State: "shutdown" },
    DesiredState: "remove"
  }
}
