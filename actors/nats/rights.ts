/**
 * What each connection of a node may say and hear. Allow-lists only: what is not named here is refused.
 *
 * Whose words a message is must show in its subject, and here NATS is told to hold a node to that.
 */
import { alertSubject } from "#actors/alerts/protocol.ts"
import { apiSubject, apiSubjectOf } from "#actors/api/subjects.ts"
import { loadSubject } from "#actors/autoscaler/policy.ts"
import { copySubject } from "#actors/logs/copies/protocol.ts"
import { logSubject } from "#actors/logs/publish/protocol.ts"
import { metricSubject } from "#actors/meter/figures.ts"
import type { NatsKeys } from "#actors/model/trust.ts"

/** Subjects that a connection may publish to and subscribe to. */
export interface Rights {
  readonly publish: ReadonlyArray<string>
  readonly subscribe: ReadonlyArray<string>
  /** Of the servers' own account rather than everyone's. */
  readonly system?: true
  /** May also answer what it was asked, wherever the asker wants the answer. */
  readonly answers?: true
}

/** Where a node's connection receives its answers; no other connection may subscribe there. */
export const inboxOf = {
  daemon: (nodeId: string): string => `_INBOX.${nodeId}`,
  api: (nodeId: string): string => `_INBOX.api-${nodeId}`,
  raft: (nodeId: string): string => `_INBOX.raft-${nodeId}`,
  system: (nodeId: string): string => `_INBOX.system-${nodeId}`
} as const satisfies Record<keyof NatsKeys, (nodeId: string) => string>

/** The kinds of actors that are spoken to from other processes; `raft` is not among them, it has a connection of its own. */
const kinds =
  "acme alerts allocator autoscaler certificate consoles dispatcher engine-watch feed keymaster log-keeper logs members mounts nats network node reaper scheduler service session stats system task volumes".split(
    " "
  )
const lanes = ["in", "out", "sys"]

/**
 * A manager's actors: everything said among nodes but Raft's words.
 *
 * Spelt out by kind, because an allow-list cannot except one: a manager that could publish on another's Raft subject
 * could vote twice.
 */
export const managerRights = (cluster: string, nodeId: string): Rights => ({
  publish: [
    metricSubject(cluster, nodeId),
    alertSubject(cluster, "*", "*"),
    copySubject(cluster, "*", nodeId),
    logSubject(cluster, "*", "*", nodeId),
    ...kinds.flatMap((kind) => lanes.map((lane) => `troupe.v1.${cluster}.*.${kind}.*.${lane}`)),
    "_INBOX.>"
  ],
  subscribe: [
    `troupe.v1.${cluster}.>`,
    metricSubject(cluster, "*"),
    copySubject(cluster, nodeId, "*"),
    `${inboxOf.daemon(nodeId)}.>`
  ]
})

/**
 * A worker speaks to the leader's actor of itself, asks itself how it is, says what it uses, sends copies of its logs, publishes them
 * and answers what it was asked, nothing else: whatever it says shows its name, and it cannot reach another node's actors, Raft or the ledger.
 */
export const workerRights = (cluster: string, nodeId: string): Rights => ({
  publish: [
    `troupe.v1.${cluster}.leader.node.${nodeId}.in`,
    // What `troupe tree` and `doctor` on its machine ask of it.
    `troupe.v1.${cluster}.${nodeId}.system.main.sys`,
    metricSubject(cluster, nodeId),
    copySubject(cluster, "*", nodeId),
    logSubject(cluster, "*", "*", nodeId)
  ],
  subscribe: [
    `troupe.v1.${cluster}.${nodeId}.>`,
    copySubject(cluster, nodeId, "*"),
    `${inboxOf.daemon(nodeId)}.>`
  ],
  answers: true
})

/** What each connection of a manager may do. `raftId` names it in the Raft group. */
export const rightsOf = (
  cluster: string,
  nodeId: string,
  raftId: string
): Record<keyof NatsKeys, Rights> => ({
  daemon: managerRights(cluster, nodeId),
  api: apiRights(inboxOf.api(nodeId)),
  raft: raftRights(cluster, raftId, inboxOf.raft(nodeId)),
  system: watcherRights(inboxOf.system(nodeId))
})

/** Raft among managers: speaks as itself only, hears what is said to itself. */
export const raftRights = (cluster: string, raftId: string, inbox: string): Rights => ({
  publish: [`troupe.v1.${cluster}.*.raft.${raftId}.*`],
  subscribe: [`troupe.v1.${cluster}.${raftId}.raft.*.*`, `${inbox}.>`]
})

/** Hears when a manager's connection ends, milliseconds after it did. Of the system account. */
export const watcherRights = (inbox: string): Rights => ({
  system: true,
  publish: [],
  subscribe: ["$SYS.ACCOUNT.*.CONNECT", "$SYS.ACCOUNT.*.DISCONNECT", `${inbox}.>`]
})

/**
 * The side of a manager that serves other systems. It answers where a client says the answer should go, so it may
 * publish to inboxes and events only: no client can have it speak to an actor.
 */
export const apiRights = (inbox: string): Rights => ({
  publish: ["troupe.event.v1.>", "_INBOX.>"],
  subscribe: [`${apiSubject}.>`, loadSubject(">"), "$SRV.>", `${inbox}.>`]
})

/** What nats-server tells one client from another by. */
export interface Client {
  readonly name: string
  /** May ask for lists and single objects, and change nothing. */
  readonly readOnly: boolean
  /** Asks on subjects of its own alone, so that what it does is known to be its doing. */
  readonly named: boolean
}

/** Another system. */
export const clientRights = (inbox: string, { name, readOnly, named }: Client): Rights => ({
  publish: [
    ...[apiSubjectOf(name), ...(named ? [] : [apiSubject])].flatMap((asks) =>
      (readOnly ? ["list", "inspect"] : ["*"]).map((verb) => `${asks}.*.${verb}`)
    ),
    ...(readOnly ? [] : [loadSubject(">")]),
    ...["PING", "INFO", "STATS"].flatMap((verb) => [`$SRV.${verb}`, `$SRV.${verb}.>`])
  ],
  subscribe: ["troupe.event.v1.>", "troupe.log.v1.>", "troupe.metric.v1.>", "troupe.alert.v1.>", `${inbox}.>`]
})
