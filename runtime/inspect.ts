/**
 * The `sys` lane: what a process answers about its own actors, and how to ask it, from a CLI or another node.
 *
 * Requests go to `<node id>/system/main` and speak to the runtime, never to an actor.
 */
import { Effect, Schema } from "effect"
import { type Address, address, showAddress, subjectOf } from "#runtime/address.ts"
import type { Absence } from "#runtime/errors.ts"
import { NotUnderstood } from "#runtime/errors.ts"
import type { TreeNode } from "#runtime/system.ts"
import type { TransportService } from "#runtime/transport.ts"
import { decodeReply, decoderOf, encodeBody } from "#runtime/wire.ts"

const AddressSchema = Schema.Struct({ home: Schema.String, kind: Schema.String, id: Schema.String })

/** What can be said on a `sys` lane. `Watch`, `Unwatch` go to the watched actor's subject, the rest to the system's. */
export const SysMessage = Schema.Union([
  /** Answered by `Trees`. */
  Schema.Struct({ _tag: Schema.Literal("Tree") }),
  /** Answered by `{ done }`: false when the actor is not in that process. */
  Schema.Struct({ _tag: Schema.Literal("Restart"), address: AddressSchema }),
  /** Answered by `DeadLetterReport`. */
  Schema.Struct({ _tag: Schema.Literal("DeadLetters") }),
  /** Answered by `{ watching: true }`, and later told `Gone` once; repeated, or it is forgotten. */
  Schema.Struct({ _tag: Schema.Literal("Watch"), watcher: Schema.String, key: Schema.String }),
  Schema.Struct({ _tag: Schema.Literal("Unwatch"), watcher: Schema.String, key: Schema.String }),
  Schema.Struct({ _tag: Schema.Literal("Gone"), key: Schema.String, reason: Schema.String })
])
export type SysMessage = typeof SysMessage.Type

export const decodeSys = decoderOf(SysMessage)

/** What a process answers to `Tree`. `omitted` counts the actors left out because one message cannot carry all. */
export interface Trees {
  readonly nodeId: string
  readonly trees: ReadonlyArray<TreeNode>
  readonly omitted: number
}

export interface DeadLettersAnswer {
  readonly count: number
  readonly samples: ReadonlyArray<string>
  readonly byReason: Readonly<Record<string, number>>
}

export const systemAddress = (nodeId: string): Address => address(nodeId, "system", "main")

/** Asks the process of a node; for whoever has a transport but runs no actors. */
export interface Inspector {
  readonly tree: (nodeId: string) => Effect.Effect<Trees, Absence>
  /** Restarts one actor there. False when it is not there. */
  readonly restart: (nodeId: string, target: Address) => Effect.Effect<boolean, Absence>
  readonly deadLetters: (nodeId: string) => Effect.Effect<DeadLettersAnswer, Absence>
}

export function inspector(transport: TransportService, cluster: string, withinMs = 2_000): Inspector {
  const ask = Effect.fnUntraced(function* <Answer>(nodeId: string, message: SysMessage) {
    const to = systemAddress(nodeId)
    const body = encodeBody(message)
    const reply = yield* transport.request(subjectOf(cluster, to, "sys"), {}, body, withinMs)
    const outcome = decodeReply(reply, showAddress(to), withinMs)
    if (outcome._tag === "Answer") return outcome.value as Answer
    return yield* Effect.fail(outcome)
  })
  return {
    tree: (nodeId) => ask<Trees>(nodeId, { _tag: "Tree" }),
    restart: (nodeId, target) =>
      ask<{ done?: boolean }>(nodeId, { _tag: "Restart", address: target }).pipe(
        Effect.flatMap((answer) =>
          typeof answer?.done === "boolean"
            ? Effect.succeed(answer.done)
            : Effect.fail(
                new NotUnderstood({
                  address: showAddress(systemAddress(nodeId)),
                  message: `Node ${nodeId} did not say whether it restarted ${showAddress(target)}`
                })
              )
        )
      ),
    deadLetters: (nodeId) => ask<DeadLettersAnswer>(nodeId, { _tag: "DeadLetters" })
  }
}

/** The snapshot cut to what one message carries: the longest lists of children are shortened first. */
export function fitTrees(nodeId: string, trees: ReadonlyArray<TreeNode>, maxBytes: number): Trees {
  let answer: Trees = { nodeId, trees, omitted: 0 }
  for (let most = 4_096; encodeBody(answer).length > maxBytes && most >= 1; most = Math.floor(most / 2)) {
    let omitted = 0
    const shorten = (node: TreeNode): TreeNode => {
      omitted += Math.max(0, node.children.length - most)
      return { ...node, children: node.children.slice(0, most).map(shorten) }
    }
    answer = { nodeId, trees: trees.map(shorten), omitted: 0 }
    answer = { ...answer, omitted }
  }
  return answer
}
