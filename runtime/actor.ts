/** Actor definitions: the decision, and the one place where its actions meet the world. */
import type { Effect, Schema } from "effect"
import type { Address } from "#runtime/address.ts"
import type { Decide, Moment, Step } from "#runtime/behaviour.ts"

/**
 * What happens to a message that finds the mailbox full.
 *
 * `refuse` answers the sender with `MailboxFull`; `drop-oldest` makes room; `latest` keeps only the newest
 * message per `key(message)`, which suits goals, because a newer goal replaces an older one.
 */
export type Overflow = "refuse" | "drop-oldest" | { readonly latest: (message: never) => string | undefined }

export interface MailboxOptions {
  readonly capacity?: number
  readonly overflow?: Overflow
}

/**
 * A kind of actor. `Props` is what it is started with, `Message` what it is told, `Action` what it asks for.
 *
 * `perform` carries out one action; what it yields comes back as messages. It is interrupted when the actor
 * stops, so every action is idempotent by the actor's id. An error that leaves `perform` crashes the actor.
 */
export interface ActorDefinition<Props, State, Message, Action, Needs = never> {
  readonly kind: string
  /** Decodes what arrives from other processes; an actor without it can only be reached from inside. */
  readonly accepts?: Schema.Codec<Message, unknown>
  readonly mailbox?: MailboxOptions
  readonly start: (props: Props, moment: Moment) => Step<State, Action>
  readonly decide: Decide<State, Message, Action>
  // Written as a method, so that actors without actions of their own can stand in a tree beside the others.
  perform?(
    action: Action,
    self: Address
  ): Effect.Effect<Message | ReadonlyArray<Message> | void, unknown, Needs>
  /** Whether a message may hold a secret. The flight recorder keeps nothing of it, nor of this kind's states. */
  readonly secrets?: (message: Message) => boolean
  /** One line for `troupe tree`: what this state amounts to. Never the state itself, which may hold secrets. */
  readonly summary?: (state: State) => string
}

// biome-ignore lint/suspicious/noExplicitAny: a tree holds definitions of every kind; each is typed where it is made
export type AnyActor<Needs = any> = ActorDefinition<any, any, any, any, Needs>

/** Names a definition; exists for inference. */
export const actor = <Props, State, Message, Action, Needs = never>(
  definition: ActorDefinition<Props, State, Message, Action, Needs>
): ActorDefinition<Props, State, Message, Action, Needs> => definition
