/** Tables of nftables that are ours alone: each written all at once, and written again when somebody changed it. */
import { Effect } from "effect"
import { replacing } from "#actors/drivers/kernel/nft-text.ts"
import { patch } from "#actors/drivers/kernel/patch.ts"
import { type KernelError, run } from "#actors/drivers/kernel/run.ts"

/** Rules by table; a table without any is to go. */
export type Rules = ReadonlyMap<string, string | undefined>

export interface Brought {
  /** Tables that were not as they should be, and are now. */
  readonly changed: ReadonlySet<string>
  /** Why others are not, by table. */
  readonly failed: ReadonlyMap<string, string>
}

/**
 * A look reads all there is, writes anew what changes have written since the look before, whole or in part, and reads how
 * that is shown: the more there is, the longer whoever waits for a change would wait for that. So it is left to rounds that
 * are nothing but looks, and done at a change only when it is overdue, because changes keep following each other. What
 * somebody else changed is found a moment later, whenever that was, but for the milliseconds until a look has read
 * what it wrote.
 */
const usualMs = 1_900
const overdueMs = 4_000

/** Remembers how the kernel shows what was written, so that a look tells whether it still is so. */
export class OwnTables {
  readonly #counting: ReadonlySet<string>
  readonly #lookEveryMs: number
  readonly #written = new Map<string, string>()
  /** How each was shown right after it was written by a look; those that were written since are not among them. */
  readonly #known = new Map<string, string>()
  #lookedMs = Number.NEGATIVE_INFINITY

  /**
   * Of tables that are `counting` the first look believes what it is shown, and writes nothing again: what was counted
   * would be lost with it.
   */
  constructor(lookEveryMs = usualMs, counting: ReadonlyArray<string> = []) {
    this.#counting = new Set(counting)
    this.#lookEveryMs = lookEveryMs
  }

  /** Whether it is there by what was written: nobody has read that. */
  has(name: string): boolean {
    return this.#written.has(name)
  }

  /** Makes these tables what their rules say; at a look, also where somebody else changed them. */
  readonly bring = Effect.fnUntraced(function* (this: OwnTables, rules: Rules, isLook = true) {
    const isDue = performance.now() - this.#lookedMs >= (isLook ? this.#lookEveryMs : overdueMs)
    const shown = isDue ? yield* Effect.interruptible(look([...rules.keys()])) : undefined
    if (isDue) this.#lookedMs = performance.now()
    const all = [...rules]
    const wrong = all.filter(([name, wanted]) => this.#isWrong(name, wanted, shown))
    const unseen = all.filter(
      (one) => isDue && this.#written.has(one[0]) && !this.#known.has(one[0]) && !wrong.includes(one)
    )
    const writing = [...wrong]
    for (const one of unseen) {
      const now = shown?.get(one[0])
      if (now !== undefined && this.#counting.has(one[0])) this.#known.set(one[0], now)
      else writing.push(one)
    }
    if (writing.length === 0) return { changed: new Set(), failed: new Map() } as Brought
    const sees = isDue && isLook
    // A part is written over what others may have made of the rest, which is not to be taken for ours.
    const failed = yield* this.#write(writing, !sees)
    if (sees) yield* this.#see([...rules.keys()], writing)
    const changed = new Set(wrong.flatMap(([name]) => (failed.has(name) ? [] : [name])))
    return { changed, failed } as Brought
  })

  /** Makes of tables that were written before what their rules say now, without a look, overdue or not. */
  readonly amend = Effect.fnUntraced(function* (this: OwnTables, rules: Rules) {
    const written = [...rules].filter(([name]) => this.#written.has(name))
    const stale = written.filter(([name, wanted]) => this.#isWrong(name, wanted, undefined))
    if (stale.length > 0) yield* this.#write(stale, true)
  })

  /** By what is shown, where somebody has looked. */
  #isWrong(
    name: string,
    wanted: string | undefined,
    shown: ReadonlyMap<string, string> | undefined
  ): boolean {
    if (wanted === undefined) return this.#written.has(name) || shown?.has(name) === true
    if (wanted !== this.#written.get(name)) return true
    if (shown === undefined) return false
    const [now, known] = [shown.get(name), this.#known.get(name)]
    return now === undefined || (known !== undefined && now !== known)
  }

  readonly #see = Effect.fnUntraced(function* (
    this: OwnTables,
    names: ReadonlyArray<string>,
    written: ReadonlyArray<readonly [string, unknown]>
  ) {
    const shown = yield* Effect.interruptible(look(names))
    for (const [name] of written) {
      const now = this.#written.has(name) ? shown.get(name) : undefined
      if (now !== undefined) this.#known.set(name, now)
    }
  })

  /** All at once; where that is refused, those that can be. */
  readonly #write = Effect.fnUntraced(function* (
    this: OwnTables,
    rules: ReadonlyArray<readonly [string, string | undefined]>,
    inParts: boolean
  ) {
    const failed = new Map<string, string>()
    const patches = new Map<string, string>()
    for (const [name, wanted] of rules) {
      const written = this.#written.get(name)
      if (!inParts || written === undefined || wanted === undefined || written === wanted) continue
      const script = patch(name, written, wanted)
      if (script !== undefined) patches.set(name, script)
    }
    const script = rules.map(([name, wanted]) => patches.get(name) ?? replacing(name, wanted)).join("")
    const isWhole = yield* run("nft", ["-f", "-"], script).pipe(
      Effect.match({ onSuccess: () => true, onFailure: () => false })
    )
    for (const [name, wanted] of rules) {
      const complaint = isWhole ? undefined : yield* refused(run("nft", ["-f", "-"], replacing(name, wanted)))
      if (complaint !== undefined) failed.set(name, complaint)
      this.#known.delete(name)
      if (wanted === undefined || complaint !== undefined) this.#written.delete(name)
      else this.#written.set(name, wanted)
    }
    return failed
  })
}

/** Without counters. Where nothing can be read, there is nothing. Of one table, what is in the others is not waited for. */
const look = ([first = "", ...others]: ReadonlyArray<string>) =>
  run(
    "nft",
    ["-s", "list", ...(others.length === 0 ? ["table", "inet", first] : ["ruleset", "inet"])],
    ""
  ).pipe(Effect.match({ onSuccess: tablesIn, onFailure: (): ReadonlyMap<string, string> => new Map() }))

const refused = (writing: Effect.Effect<unknown, KernelError>): Effect.Effect<string | undefined> =>
  writing.pipe(Effect.match({ onSuccess: () => undefined, onFailure: ({ message }) => message }))

/** What rules have noted themselves. */
const noted = /(flags dynamic[^}]*?)\s*elements = \{[^}]*\}/g

/** What a listing shows of each table, by name. */
export function tablesIn(listed: string): ReadonlyMap<string, string> {
  const tables = new Map<string, string>()
  for (const part of listed.split(/^(?=table )/m)) {
    const name = /^table inet (\S+)/.exec(part)?.[1]
    if (name !== undefined) tables.set(name, part.replace(noted, "$1"))
  }
  return tables
}
