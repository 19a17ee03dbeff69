/** One table of nftables that is ours alone: written all at once, and written again when somebody changed it. */
import { Effect } from "effect"
import { replacing } from "#actors/drivers/kernel/nft-text.ts"
import { run } from "#actors/drivers/kernel/run.ts"

/** Remembers how the kernel shows what was written, so that a look tells whether it still is so. */
export class OwnTable {
  readonly #name: string
  #written: string | undefined
  #shown = ""

  constructor(name: string) {
    this.#name = name
  }

  /** Makes the table what `rules` say, or removes it; true when it was not so already. */
  readonly bring = Effect.fnUntraced(function* (this: OwnTable, rules: string | undefined) {
    const shown = yield* this.#look()
    if (rules === undefined && shown === "") {
      this.#written = undefined
      return false
    }
    if (rules !== undefined && rules === this.#written && shown === this.#shown) return false
    yield* run("nft", ["-f", "-"], replacing(this.#name, rules))
    this.#shown = yield* this.#look()
    this.#written = rules
    return true
  })

  /** Without counters. A table that is not there, or cannot be read, is shown as nothing. */
  #look(): Effect.Effect<string> {
    return run("nft", ["-s", "list", "table", "inet", this.#name], "").pipe(
      Effect.catch(() => Effect.succeed(""))
    )
  }
}
