/** Where the passphrase of a backup comes from: a file, the environment, or the terminal. Never an argument: others see those. */
import { readFileSync } from "node:fs"
import process from "node:process"
import { Effect, Option, Redacted } from "effect"
import { Flag, Prompt } from "effect/cli"
import { cannot } from "#actors/recovery/errors.ts"

export const passphraseFlag = Flag.String("passphrase-file").pipe(
  Flag.withDescription(
    "a file whose first line is the passphrase (the cluster's unlock key will do); without it TROUPE_PASSPHRASE, or the terminal is asked"
  ),
  Flag.optional
)

/** `twice`: asked once more, because nobody could open what was sealed with a slip of the finger. */
export const passphraseOf = Effect.fnUntraced(function* (file: Option.Option<string>, twice: boolean) {
  if (Option.isSome(file)) {
    const path = file.value
    return yield* Effect.try({
      try: () => readFileSync(path, "utf8").split(/\r?\n/, 1)[0] ?? "",
      catch: (error) => cannot(`--passphrase-file ${path}: ${(error as Error).message}`)
    })
  }
  const given = process.env.TROUPE_PASSPHRASE
  if (given !== undefined && given !== "") return given
  if (process.stdin.isTTY !== true) {
    return yield* cannot("There is no passphrase: give --passphrase-file, or TROUPE_PASSPHRASE")
  }
  const ask = (message: string) => Effect.map(Prompt.run(Prompt.Password({ message })), Redacted.value)
  const passphrase = yield* ask("Passphrase")
  if (twice && (yield* ask("Once more")) !== passphrase) return yield* cannot("The two passphrases differ")
  return passphrase
})
