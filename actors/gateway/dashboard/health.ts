/** What the health check of a task came to, as its node says it; in the Engine's own words for it. */
import { Effect } from "effect"
import { ConsolesAnswer, type Health } from "#actors/console/protocol.ts"
import { placeContainer } from "#actors/gateway/dashboard/place-container.ts"
import { type Answer, isRefusal, ok, refused } from "#actors/gateway/response.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { refuse } from "#actors/model/errors.ts"
import { address } from "#runtime/address.ts"
import type { SystemService } from "#runtime/system.ts"

export interface HealthOptions {
  readonly ledger: () => LedgerService | undefined
  readonly nodeId: string
  readonly system: Pick<SystemService, "ask">
}

/** Pages ask again sooner than people would wait for it. */
const patienceMs = 5_000

export async function healthOf({ ledger, nodeId, system }: HealthOptions, taskId: string): Promise<Answer> {
  const source = ledger()
  if (source === undefined)
    return refused(refuse("unavailable", "this node is no manager: ask one of the managers"))
  const place = placeContainer(source.read, nodeId, taskId, "health")
  if (isRefusal(place)) return refused(place)
  const { task, container, name } = place
  const called = source.read.get("node", place.nodeId)?.Description?.Hostname ?? place.nodeId
  const node = address(place.nodeId, "consoles", "main")
  return await Effect.runPromise(
    system.ask(node, { _tag: "Examine", task, container }, patienceMs, ConsolesAnswer).pipe(
      Effect.map((answer) => {
        if (answer._tag === "Health") return ok(inspected(answer))
        if (answer._tag === "Refused")
          return refused(refuse("unavailable", `node ${called}: ${answer.message}`))
        return refused(
          refuse("notFound", `task ${name}: its container is gone, and what its health check said with it`)
        )
      }),
      Effect.catch(({ message }) =>
        Effect.succeed(refused(refuse("unavailable", `Cannot reach node ${called}: ${message}`)))
      )
    )
  )
}

const inspected = ({ status, probes }: Health) => ({
  ...(status !== undefined && { Status: status }),
  Log: probes.map(({ at, exitCode, output }) => ({ End: at, ExitCode: exitCode, Output: output }))
})
