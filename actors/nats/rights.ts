/**
 * What each connection of a node may say and hear. Allow-lists only: what is not named here is refused.
 *
 * Whose words a message is must show in its subject, and here NATS is told to hold a node to that.
 */
import type { Rights } from "#actors/nats/passes.ts"

/** The kinds of actors that are spoken to from other processes; `raft` is not among them, it has a pass of its own. */
const kinds = [
  "dispatcher",
  "engine-watch",
  "logs",
  "network",
  "node",
  "nodes",
  "service",
  "session",
  "system",
  "task"
]
const lanes = ["in", "out", "sys"]

/**
 * A manager's actors: everything said among nodes but Raft's words.
 *
 * Spelt out by kind, because an allow-list cannot except one: a manager that could publish on another's Raft subject
 * could vote twice.
 */
export const managerRights = (cluster: string, inbox: string): Rights => ({
  publish: [
    ...kinds.flatMap((kind) => lanes.map((lane) => `troupe.v1.${cluster}.*.${kind}.*.${lane}`)),
    "_INBOX.>"
  ],
  subscribe: [...lanes.map((lane) => `troupe.v1.${cluster}.*.*.*.${lane}`), `${inbox}.>`]
})

/** Raft among managers: speaks as itself only, hears what is said to itself. */
export const raftRights = (cluster: string, nodeId: string): Rights => ({
  publish: [`troupe.v1.${cluster}.*.raft.${nodeId}.*`],
  subscribe: [`troupe.v1.${cluster}.${nodeId}.raft.*.*`]
})

/** Hears when a manager's connection ends, milliseconds after it did. Of the system account. */
export const watcherRights = (inbox: string): Rights => ({
  publish: [],
  subscribe: ["$SYS.ACCOUNT.*.CONNECT", "$SYS.ACCOUNT.*.DISCONNECT", `${inbox}.>`]
})

/**
 * The side of a manager that serves other systems. It answers where a client says the answer should go, so it may
 * publish to inboxes and events only: no client can have it speak to an actor.
 */
export const apiRights = (inbox: string): Rights => ({
  publish: ["troupe.event.v1.>", "troupe.log.v1.>", "troupe.metric.v1.>", "_INBOX.>"],
  subscribe: ["troupe.api.v1.>", "$SRV.>", `${inbox}.>`]
})

/** Another system. With `readOnly` it may ask for lists and single objects, and change nothing. */
export const clientRights = (inbox: string, readOnly: boolean): Rights => ({
  publish: [
    ...(readOnly ? ["troupe.api.v1.*.list", "troupe.api.v1.*.inspect"] : ["troupe.api.v1.>"]),
    ...["PING", "INFO", "STATS"].flatMap((verb) => [`$SRV.${verb}`, `$SRV.${verb}.>`])
  ],
  subscribe: ["troupe.event.v1.>", "troupe.log.v1.>", "troupe.metric.v1.>", `${inbox}.>`]
})
