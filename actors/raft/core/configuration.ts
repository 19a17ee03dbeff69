/**
 * Who belongs to the group. A configuration takes effect where it stands in the log, committed or not, and every
 * entry and snapshot that carries one carries it whole.
 */
import { Malformed, Reader, utf8, Writer } from "#actors/raft/storage/bytes.ts"

/** A member for the life of its data directory. Whoever loses that directory returns under another id. */
export type NodeId = string

/**
 * `voters` decide. `outgoing` is empty except while a joint change is under way: then both must agree. `learners`
 * receive the log and never count. `removed` never come back: the last of them are kept, in the order in which they left.
 * The others are sorted. All four are disjoint (`outgoing` may overlap with the others).
 */
export interface Configuration {
  readonly voters: ReadonlyArray<NodeId>
  readonly outgoing: ReadonlyArray<NodeId>
  readonly learners: ReadonlyArray<NodeId>
  readonly removed: ReadonlyArray<NodeId>
}

/** Knows nobody: a member that waits to be told of its group. */
export const nobody: Configuration = { voters: [], outgoing: [], learners: [], removed: [] }

/** A group that these begin together. */
export const founding = (...voters: ReadonlyArray<NodeId>): Configuration => ({
  ...nobody,
  voters: [...voters].sort()
})

/** One step; each moves one node. A node joins as a learner. */
export type ConfigChange =
  | { readonly _tag: "AddLearner"; readonly node: NodeId }
  | { readonly _tag: "Promote"; readonly node: NodeId }
  | { readonly _tag: "Demote"; readonly node: NodeId }
  | { readonly _tag: "Remove"; readonly node: NodeId }

export const isVoter = (configuration: Configuration, node: NodeId): boolean =>
  configuration.voters.includes(node) || configuration.outgoing.includes(node)

export const isMember = (configuration: Configuration, node: NodeId): boolean =>
  isVoter(configuration, node) || configuration.learners.includes(node)

export const wasRemoved = (configuration: Configuration, node: NodeId): boolean =>
  configuration.removed.includes(node)

/** Everybody to whom the log is sent, sorted. */
export const membersOf = (configuration: Configuration): ReadonlyArray<NodeId> => [
  ...new Set([...configuration.voters, ...configuration.outgoing, ...configuration.learners].sort())
]

// Entries outlive programs; what this one does not know, it must not guess at.
const formatVersion = 1

/** It stands in the head of a snapshot, which is a block of 4 KiB, beside what else is there. */
const mostBytes = 3_584

/** Whether its members alone can be written down. */
export const hasRoom = (configuration: Configuration): boolean =>
  lengthOf(listsOf({ ...configuration, removed: [] })) <= mostBytes

const listsOf = ({ voters, outgoing, learners, removed }: Configuration) =>
  [voters, outgoing, learners, removed].map((list) => list.map(utf8))

function lengthOf(lists: ReadonlyArray<ReadonlyArray<Uint8Array>>): number {
  let length = 1
  for (const list of lists) for (const id of list) length += 2 + id.length
  return length + 4 * lists.length
}

/** As it stands in an entry or a snapshot: without those that left first, where there is no room for all that did. */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const lists = listsOf(configuration)
  const removed = lists.at(-1) ?? []
  while (removed.length > 0 && lengthOf(lists) > mostBytes) removed.shift()
  const fields = new Writer(new Uint8Array(lengthOf(lists)))
  fields.u8(formatVersion)
  for (const list of lists) {
    fields.u32(list.length)
    for (const id of list) fields.short(id)
  }
  return fields.bytes
}

/** Throws `Malformed`. */
export function decodeConfiguration(bytes: Uint8Array): Configuration {
  const fields = new Reader(bytes)
  const version = fields.u8()
  if (version !== formatVersion)
    throw new Malformed(`configurations of version ${version} are not known here`)
  const list = (): ReadonlyArray<NodeId> => {
    const count = fields.u32()
    if (count > fields.left) throw new Malformed(`a list of ${count} in ${fields.left} bytes`)
    return Array.from({ length: count }, () => fields.string())
  }
  const voters = list()
  const outgoing = list()
  const learners = list()
  const removed = list()
  if (fields.left > 0) throw new Malformed(`${fields.left} bytes after a configuration`)
  return { voters, outgoing, learners, removed }
}
