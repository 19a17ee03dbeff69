/** Where the passphrase of a backup and keys of locked disks come from: a file, the environment, or the terminal. Never an argument: others see those. */
import { readFileSync } from "node:fs"
import process from "node:process"
import { Effect, Option, Redacted } from "effect"
import { Flag, Prompt } from "effect/cli"
import { parseUnlockKey } from "#actors/authority/lock.ts"
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
    const [first = ""] = yield* linesOf("--passphrase-file", file.value)
    return first
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

export const unlockKeyFlag = Flag.String("unlock-key-file").pipe(
  Flag.withDescription(
    "a file with the key that locked disks open with, as docker swarm unlock-key prints it; one a line where they differ; without it TROUPE_UNLOCK_KEY"
  ),
  Flag.optional
)

/** None where none are given. */
export const unlockKeysOf = Effect.fnUntraced(function* (file: Option.Option<string>) {
  const from = Option.isSome(file) ? `--unlock-key-file ${file.value}` : "TROUPE_UNLOCK_KEY"
  const lines = Option.isSome(file)
    ? yield* linesOf("--unlock-key-file", file.value)
    : [process.env.TROUPE_UNLOCK_KEY ?? ""]
  const keys: Array<Uint8Array> = []
  for (const line of lines.map((each) => each.trim()).filter(Boolean)) {
    const key = parseUnlockKey(line)
    if (key === undefined)
      return yield* cannot(`${from}: expected keys as docker swarm unlock-key prints them, SWMKEY-1-…`)
    keys.push(key)
  }
  return keys
})

const linesOf = (flag: string, path: string) =>
  Effect.try({
    try: () => readFileSync(path, "utf8").split(/\r?\n/),
    catch: (error) => cannot(`${flag} ${path}: ${(error as Error).message}`)
  })
