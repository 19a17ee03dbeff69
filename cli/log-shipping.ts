/** What tasks of a member say, beyond its own memory: copies on another node, copies of others' here, and NATS. */
import { Context, Effect } from "effect"
import { keepCopies } from "#actors/logs/copies/keep.ts"
import { sendCopies } from "#actors/logs/copies/send.ts"
import type { CopyStore } from "#actors/logs/copies/store.ts"
import type { LogMemoryService } from "#actors/logs/memory.ts"
import { keepPublishing, PublishListener } from "#actors/logs/publish/publish.ts"
import { Publisher } from "#actors/logs/publish/publisher.ts"
import { CopyListener } from "#actors/node/session/actor.ts"
import { freshFromMachine, type Identity } from "#cli/identity.ts"
import type { Host } from "#runtime/host.ts"
import type { TransportService } from "#runtime/transport.ts"

interface Shipping {
  readonly identity: Identity
  readonly transport: TransportService
  readonly memory: LogMemoryService
  /** Of other nodes' logs; `undefined` where none are kept here. */
  readonly copies: CopyStore | undefined
  readonly host: Host
}

/** Ships until the scope closes; gives those who hear from the leader where to. */
export const shipLogs = Effect.fnUntraced(function* (shipping: Shipping) {
  const { identity, transport, memory, copies, host } = shipping
  const place = { cluster: identity.clusterId, nodeId: identity.nodeId }
  if (copies) yield* keepCopies({ ...place, transport, store: copies, host })
  let holder: string | undefined
  yield* Effect.forkScoped(sendCopies({ ...place, transport, memory, holder: () => holder }))
  const publisher = new Publisher({ ...place, epoch: freshFromMachine().id(), transport, memory })
  yield* Effect.forkScoped(keepPublishing(publisher, memory))
  return Context.make(CopyListener, (node: string | undefined) => {
    holder = node
  }).pipe(Context.add(PublishListener, (tasks: ReadonlyArray<string>) => publisher.want(tasks, host.now())))
})
