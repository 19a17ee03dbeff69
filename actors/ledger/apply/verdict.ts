/** What the rules of every kind of object have in common: the entry they apply, and how they refuse it. */
import type { Applied, Command } from "#actors/ledger/commands.ts"
import { type Refusal, refuse, rpc } from "#actors/model/errors.ts"

/** The commands of one type. */
export type Of<Type extends Command["type"]> = Extract<Command, { type: Type }>

/** What applying a command yields beside its index, or why not. A refusal has changed nothing. */
export type Verdict = Omit<Applied, "index"> | Refusal

/** Carries the facts of the entry that is being applied. */
export interface At {
  readonly index: number
  readonly time: string
}

export const born = (at: At) => ({ Version: { Index: at.index }, CreatedAt: at.time, UpdatedAt: at.time })
export const touched = (at: At) => ({ Version: { Index: at.index }, UpdatedAt: at.time })

export const notFound = (what: string, id: string): Refusal => refuse("notFound", `${what} ${id} not found`)
export const failedPrecondition = (text: string): Refusal => rpc("failedPrecondition", text)
export const invalid = (text: string): Refusal => rpc("invalidArgument", text)

export function least<T extends { readonly ID: string }>(
  objects: Iterable<T>,
  counts: (object: T) => boolean
): string | undefined {
  let found: string | undefined
  for (const object of objects) {
    if ((found === undefined || object.ID < found) && counts(object)) found = object.ID
  }
  return found
}
