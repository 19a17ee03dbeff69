/**
 * Where an action leaves plain code: a performer runs it and hands back what came of it.
 *
 * In production it runs the definition's Effect; the simulator puts its own imitation here.
 */
import { Cause, Context, Effect, Exit } from "effect"
import type { AnyActor } from "#runtime/actor.ts"
import type { Address } from "#runtime/address.ts"
import type { Cause as MessageCause } from "#runtime/envelope.ts"
import { asPerformer } from "#runtime/strays.ts"

export type PerformExit = { readonly messages: ReadonlyArray<unknown> } | { readonly error: unknown }

export interface Performer {
  /**
   * Carries out one action and calls `done` once, now or later. After `interrupt`, `done` is still called, soon;
   * a stopping actor waits for it, but not for ever.
   */
  readonly perform: (
    definition: AnyActor,
    action: unknown,
    self: Address,
    done: (exit: PerformExit) => void,
    /** The message that led to the action. */
    cause?: MessageCause | undefined,
    /** When the answer to the question that led to the action is due, in the host's milliseconds. */
    deadline?: number | undefined,
    /** Which life of the actor asks for it. */
    life?: number
  ) => { readonly interrupt: () => void }
}

/** Inside a `perform`: the message that led to it, so that what the action sends can name it. */
export const CurrentCause = Context.Reference<MessageCause | undefined>("troupe/runtime/CurrentCause", {
  defaultValue: () => undefined
})

/**
 * Inside a `perform`: until when the answer is wanted that it works for, in the host's milliseconds. Its asks get what
 * is left of that and no more. What works for itself, too, provides `Infinity`.
 */
export const AnswerBy = Context.Reference<number>("troupe/runtime/AnswerBy", {
  defaultValue: () => Number.POSITIVE_INFINITY
})

/** Runs `perform` of the definition with everything that `context` provides. */
export function effectPerformer(context: Context.Context<never>): Performer {
  const fork = Effect.runForkWith(context)
  return {
    perform(definition, action, self, done, cause, deadline, life = 0) {
      const run = Effect.suspend(() => definition.perform?.(action, self) ?? Effect.void)
      const told = cause === undefined ? run : Effect.provideService(run, CurrentCause, cause)
      const hurried = deadline === undefined ? told : Effect.provideService(told, AnswerBy, deadline)
      const fiber = asPerformer({ self, life }, () => fork(hurried as Effect.Effect<unknown, unknown>))
      fiber.addObserver((exit) => done(toPerformExit(exit)))
      return { interrupt: () => fiber.interruptUnsafe() }
    }
  }
}

/** What an Effect came to, as messages for the actor that asked for it. */
export function toPerformExit(exit: Exit.Exit<unknown, unknown>): PerformExit {
  if (Exit.isFailure(exit)) return { error: Cause.squash(exit.cause) }
  const value = exit.value
  if (Array.isArray(value)) return { messages: value }
  // An Effect typed `void` may still carry something, such as the `false` of a closed queue. Messages are objects.
  return { messages: typeof value === "object" && value !== null ? [value] : [] }
}
