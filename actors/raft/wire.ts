/** How members reach each other, as consensus sees it: messages go out and come in, and may be lost on the way. */
import type { NodeId } from "#actors/raft/core/configuration.ts"
import type { Message } from "#actors/raft/host/message.ts"

export interface RaftWire {
  /** Never waits, never throws: what cannot be sent is lost, and said to be so by `onUnreachable`. */
  readonly send: (message: Message) => void
  /** Everything that happens on it, from now on. */
  readonly listen: (heard: WireListener) => { readonly unsubscribe: () => void }
}

export interface WireListener {
  /** From another member of the same group; `from` was checked. */
  readonly received: (message: Message) => void
  /** What was sent to `node` lately may be lost. */
  readonly unreachable: (node: NodeId) => void
  /** The process of `node` has ended, as far as can be told from here. A hint, and no more. */
  readonly gone: (node: NodeId) => void
}
