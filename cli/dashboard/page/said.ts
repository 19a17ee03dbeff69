/** What the gateway said of a form, and of which field of it. */

/** What was said of each field; under "" what belongs to none. */
export type Said<Name extends string> = { readonly [Key in Name | ""]?: string }

/** By the first whose words fit. `rpc error: code = … desc = ` is for programs. */
export function saidOf<Name extends string>(
  message: string,
  hints: ReadonlyArray<readonly [field: Name, words: RegExp]>
): Said<Name> {
  const text = message.replace(/^rpc error: code = \w+ desc = /, "")
  const field = hints.find(([, words]) => words.test(text))?.[0] ?? ""
  return { [field]: text } as Said<Name>
}
