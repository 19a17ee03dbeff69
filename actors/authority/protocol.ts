/**
 * What a joining node and a manager say to each other at the join port.
 *
 * The join port is HTTPS without a client certificate: `GET /v1/ca` gives the root certificate in PEM, and
 * `POST /v1/join` takes a `JoinRequest` and answers with a `Membership`; `POST /v1/renew` takes a `RenewRequest` of a node
 * that no nats-server lets in any more, and answers likewise. Refusals are `{"message": …}`. Managers ask each other
 * `GET /v1/incarnation?member=<raft id>`, a `Standing`, because one that was left behind is let in nowhere else.
 */
import { Schema } from "effect"
import { Incarnation, ManagerPorts, NatsKeys } from "#actors/model/trust.ts"

const text = Schema.String

/** `worker` and `manager` as certificates say them: Swarm's organisational units. */
export const roles = ["worker", "manager"] as const
export type Role = (typeof roles)[number]

/** `csr` is a PKCS #10 request in PEM; of it only the key is taken. `ports` are a manager's, and needed for that role. */
export const JoinRequest = Schema.Struct({
  token: text,
  csr: text,
  keys: NatsKeys,
  name: text,
  address: text,
  ports: ManagerPorts,
  availability: Schema.Literals(["active", "pause", "drain"])
})
export type JoinRequest = typeof JoinRequest.Type

/**
 * A node that was let in before asks for another certificate. Both signatures are of `csr`, base64: by the key of
 * `certificate`, which may have expired, and by the nkey of its daemon, which the ledger knows.
 */
export const RenewRequest = Schema.Struct({
  certificate: text,
  csr: text,
  signature: text,
  nkeySignature: text
})
export type RenewRequest = typeof RenewRequest.Type

/** Why a node that was removed is refused. Part of the protocol: that node knows by these words, Swarm's, that it was. */
export const removedText = (nodeId: string): string =>
  `rpc error: code = PermissionDenied desc = node ${nodeId} is not of this cluster`

/** A manager, where it is reached, and by which keys its connections are known. */
export const Peer = Schema.Struct({
  nodeId: text,
  raftId: text,
  address: text,
  ports: ManagerPorts,
  keys: NatsKeys
})
export type Peer = typeof Peer.Type

/**
 * What makes a machine a member. `certificate` and `root` are PEM; `managers` are those it may speak to. A manager's
 * `raftId` names it in the Raft group; it is new whenever its log begins anew. `routePassword` is what managers'
 * nats-servers show each other, and `routes` the number of that password, 1 where absent.
 */
export const Membership = Schema.Struct({
  nodeId: text,
  /** Of the Raft group that a manager is to belong to; the first where absent. */
  incarnation: Schema.optionalKey(Incarnation),
  raftId: Schema.optionalKey(text),
  clusterId: text,
  role: Schema.Literals(roles),
  certificate: text,
  root: text,
  routePassword: Schema.optionalKey(text),
  routes: Schema.optionalKey(Schema.Int),
  managers: Schema.Array(Peer)
})
export type Membership = typeof Membership.Type

/**
 * Which cluster a manager is of, and in which of its lives; `raftId` names it in that group. `routes` is the number of
 * the password by which nats-servers join its own, 1 where absent. `isMember`: whether it knows the one that was asked about.
 */
export const Standing = Schema.Struct({
  clusterId: text,
  raftId: text,
  incarnation: Incarnation,
  routes: Schema.optionalKey(Schema.Int),
  isMember: Schema.optionalKey(Schema.Boolean)
})
export type Standing = typeof Standing.Type
