/**
 * What a joining node and a manager say to each other at the join port.
 *
 * The join port is HTTPS without a client certificate: `GET /v1/ca` gives the root certificate in PEM, and
 * `POST /v1/join` takes a `JoinRequest` and answers with a `Membership`. Refusals are `{"message": …}`.
 */
import { Schema } from "effect"
import { ManagerPorts, NatsKeys } from "#actors/model/trust.ts"

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

/** What a nats-server must know to tell who may connect: JWTs, and public keys. Nothing of it is secret. */
export const ServerTrust = Schema.Struct({
  operator: text,
  systemAccount: text,
  /** JWTs by the account's public key. */
  accounts: Schema.Record(text, text)
})
export type ServerTrust = typeof ServerTrust.Type

/** NATS's operator mode: what servers are told, and the passes of one node's connections, as JWTs. */
export const NatsPasses = Schema.Struct({ servers: ServerTrust, users: NatsKeys })
export type NatsPasses = typeof NatsPasses.Type

export const Peer = Schema.Struct({ nodeId: text, address: text, ports: ManagerPorts })
/** A manager and where it is reached. */
export type Peer = typeof Peer.Type

/**
 * What makes a machine a member. `certificate` and `root` are PEM; `managers` are those it may speak to. A manager's
 * `raftId` names it in the Raft group; it is new whenever its log begins anew.
 */
export const Membership = Schema.Struct({
  nodeId: text,
  raftId: Schema.optionalKey(text),
  clusterId: text,
  role: Schema.Literals(roles),
  certificate: text,
  root: text,
  passes: NatsPasses,
  managers: Schema.Array(Peer)
})
export type Membership = typeof Membership.Type
