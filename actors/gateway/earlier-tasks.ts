/** Tasks that the cluster has forgotten, of which nodes still keep lines. */
import { Effect, Schema } from "effect"
import type { TaskFacts } from "#actors/drivers/log-store/task-facts.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import type { WantedTasks } from "#actors/logs/decide.ts"
import { type CopyFacts, LogsAnswer } from "#actors/logs/protocol.ts"
import type { Service, Task } from "#actors/model/objects.ts"
import { address } from "#runtime/address.ts"
import type { SystemService } from "#runtime/system.ts"

/** A node that does not say by then has nothing to add: what is asked for is what can be had. */
const patienceMs = 1_000
const nodesAtOnce = 64

const decodeAnswer = Schema.decodeUnknownEffect(LogsAnswer)

/**
 * From every node that is not down, without those that the ledger has; of nodes that are down or gone, what others have
 * copies of.
 */
export const earlierTasks = (
  { ledger, system }: { readonly ledger: LedgerService; readonly system: Pick<SystemService, "ask"> },
  wanted: WantedTasks
): Effect.Effect<ReadonlyArray<Task>> =>
  Effect.suspend(() => {
    const nodes = [...ledger.read.all("node")].filter(({ Status }) => Status.State !== "down")
    const asked = nodes.map(({ ID: node }) =>
      system.ask<unknown>(address(node, "logs", "main"), { _tag: "List", ...wanted }, patienceMs).pipe(
        Effect.flatMap(decodeAnswer),
        Effect.map((answer) => (answer._tag === "Kept" ? answer : { tasks: [] })),
        Effect.catch(() => Effect.succeed({ tasks: [] })),
        Effect.map(({ tasks, copies = [] }: KeptTasks) => [
          ...tasks.map((kept) => ({ ...kept, node })),
          ...copies.filter((copy) => isAway(ledger.read, copy.node))
        ])
      )
    )
    return Effect.map(Effect.all(asked, { concurrency: nodesAtOnce }), (found) => {
      const tasks = new Map<string, Task>()
      for (const kept of found.flat()) {
        if (tasks.has(kept.task) || ledger.read.get("task", kept.task) !== undefined) continue
        tasks.set(kept.task, asTask(kept, kept.node, ledger.read.get("service", kept.service)))
      }
      return [...tasks.values()]
    })
  })

interface KeptTasks {
  readonly tasks: ReadonlyArray<TaskFacts>
  readonly copies?: ReadonlyArray<CopyFacts>
}

const isAway = (reader: LedgerReader, nodeId: string): boolean => {
  const node = reader.get("node", nodeId)
  return node === undefined || node.Status.State === "down"
}

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
