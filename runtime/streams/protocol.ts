/**
 * Streams of facts: what a publisher and those who follow it say to each other.
 *
 * Facts are numbered from 1 within an epoch, which is one life of the publisher. A follower knows how far it has come,
 * says so, and is told what it misses: the facts themselves while the publisher still has them, else what they come to.
 */
import { Schema } from "effect"
import type { Address } from "#runtime/address.ts"

const AddressSchema = Schema.Struct({ home: Schema.String, kind: Schema.String, id: Schema.String })
const count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** What can be said to a publisher: by a follower, again and again, and by its owner. */
export const ToPublisher = Schema.Union([
  Schema.TaggedStruct("Follow", {
    follower: AddressSchema,
    /** How far the follower has come; absent before its first snapshot. */
    place: Schema.optionalKey(Schema.Struct({ epoch: Schema.String, seq: count }))
  }),
  Schema.TaggedStruct("Publish", { facts: Schema.Array(Schema.Unknown) })
]).pipe(Schema.toTaggedUnion("_tag"))
export type ToPublisher = typeof ToPublisher.Type

/** Its own timer beside it. */
export type PublisherMessage = ToPublisher | { readonly _tag: "Beat" }

/** What a publisher says to its followers. */
export const ToFollower = Schema.Union([
  /** The facts after number `after`. */
  Schema.TaggedStruct("Facts", { epoch: Schema.String, after: count, facts: Schema.Array(Schema.Unknown) }),
  /** What all facts up to number `seq` come to. */
  Schema.TaggedStruct("Snapshot", { epoch: Schema.String, seq: count, state: Schema.Unknown }),
  /** The newest number, said when there is nothing else to say. */
  Schema.TaggedStruct("Newest", { epoch: Schema.String, seq: count })
]).pipe(Schema.toTaggedUnion("_tag"))
export type ToFollower = typeof ToFollower.Type

/** Its own timer beside it. */
export type FollowerMessage = ToFollower | { readonly _tag: "Renew" }

/** What a follower tells its consumer: each fact once and in order, or a fresh start. */
export type ToConsumer =
  | { readonly _tag: "Restated"; readonly state: unknown }
  | { readonly _tag: "Told"; readonly facts: ReadonlyArray<unknown> }

export const follow = (follower: Address, place: Place | undefined): ToPublisher => ({
  _tag: "Follow",
  follower,
  ...(place && { place: { epoch: place.epoch, seq: place.seq } })
})

export interface Place {
  readonly epoch: string
  readonly seq: number
}

/** How often the newest number is said, and how often a follower says that it still is one. */
export const beatMs = 1_000
export const renewMs = 3_000
/** A follower that has not been heard of for so long is told nothing more; its next word brings it back. */
export const leaseMs = 10_000
