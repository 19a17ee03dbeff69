/** What the cluster's trust is made of, as the ledger keeps it. */
import { Schema } from "effect"

const text = Schema.String
const port = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 }))

const { optionalKey: optional } = Schema

/** A root certificate and its key, PEM. `crossSigned` certify the same key by earlier roots, the newest first. */
export const Authority = Schema.Struct({
  certificate: text,
  key: text,
  crossSigned: optional(Schema.Array(text))
})
export type Authority = typeof Authority.Type

/**
 * What all trust is made from: secrets, kept in the ledger only. `routePassword` is what managers' nats-servers show
 * each other, beside certificates, because workers have certificates, too.
 */
export const Roots = Schema.Struct({
  ca: Authority,
  /** The root that follows `ca`: it signs from now on, and is trusted once it has signed for every node. */
  rotation: optional(Authority),
  routePassword: text,
  /** How often that has changed, and the nodes that may know it. */
  routes: optional(Schema.Struct({ number: Schema.Int, holders: Schema.Array(text) }))
})
export type Roots = typeof Roots.Type

/** Who signs nodes' certificates. */
export const signerOf = ({ ca, rotation }: Roots): Authority => rotation ?? ca

/** Which life of the Raft group this is, counted from 1; see `actors/raft/incarnation.ts`. */
export const Incarnation = Schema.Struct({
  number: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
  id: text
})

/** Public nkeys of one node's connections: what the actors use, what serves other systems, Raft, and watching. */
export const NatsKeys = Schema.Struct({ daemon: text, api: text, raft: text, system: text })
export type NatsKeys = typeof NatsKeys.Type

/** Where a manager listens, as others reach it. */
export const ManagerPorts = Schema.Struct({ join: port, nats: port, route: port })
export type ManagerPorts = typeof ManagerPorts.Type
