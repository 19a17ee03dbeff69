/** The wire of a member that is alone. */
import type { RaftWire } from "#actors/raft/wire.ts"

export const noWire: RaftWire = { send: () => {}, listen: () => ({ unsubscribe: () => {} }) }
