/** The dispatcher's actor: tells nodes what they should hold. */
import { Effect } from "effect"
import { type DispatcherState, decide, start, summary } from "#actors/dispatcher/decide.ts"
import type { DispatcherAction, DispatcherMessage, DispatcherProps } from "#actors/dispatcher/protocol.ts"
import type { Wanted } from "#actors/dispatcher/provide.ts"
import { type Provision, SecretProviders } from "#actors/drivers/secret-providers.ts"
import { carryOut } from "#actors/ledger/proposer.ts"
import type { Ledger } from "#actors/ledger/service.ts"
import { actor } from "#runtime/actor.ts"
import type { Address } from "#runtime/address.ts"

const perform = Effect.fn("dispatcher.perform")(function* (
  action: DispatcherAction,
  self: Address
): Effect.fn.Return<DispatcherMessage | undefined, never, Ledger> {
  return yield* action._tag === "Provide" ? provide(action) : carryOut(action, self)
})

const provide = Effect.fnUntraced(function* ({ driver, secretId, question }: Wanted) {
  const { TaskID: taskId, NodeID: nodeId, TaskName, SecretName } = question
  const providers = yield* SecretProviders
  const provision = yield* providers.ask(driver, question).pipe(
    Effect.catch(({ message }) =>
      Effect.as(Effect.logWarning(`${TaskName} goes without the secret ${SecretName}: ${message}`), {
        problem: message
      } satisfies Provision)
    )
  )
  return { _tag: "Provided", taskId, secretId, nodeId, provision } satisfies DispatcherMessage
})

/** At `leader/dispatcher/main`. */
export const dispatcher = actor<
  DispatcherProps,
  DispatcherState,
  DispatcherMessage,
  DispatcherAction,
  Ledger
>({
  kind: "dispatcher",
  // Every node of a large cluster may speak at once after a leader change.
  mailbox: { capacity: 262_144 },
  start,
  decide,
  perform,
  secrets: (message) => message._tag === "Provided",
  summary
})
