/** Many seeds together: what they came to, and whether that is good enough. */
import { Marks, markNames } from "#test/simulation/raft/marks.ts"

// In fewer, marks are missed by chance.
const enoughSeeds = 1_000

/** What some of the seeds came to. */
export interface Report {
  readonly seeds: number
  readonly committed: number
  /** Each seed that broke a law, and the first line of what is said about it. */
  readonly failed: ReadonlyArray<readonly [seed: number, problem: string]>
  readonly marks: ReadonlyArray<readonly [name: string, hits: number]>
}

export class Batch {
  seeds = 0
  committed = 0
  readonly failed: Array<readonly [number, string]> = []
  readonly marks = new Marks()
  readonly #names: ReadonlyArray<string>

  /** `names` are the marks that many seeds must have come to. */
  constructor(names: ReadonlyArray<string> = markNames) {
    this.#names = names
  }

  add(report: Report): void {
    this.seeds += report.seeds
    this.committed += report.committed
    this.failed.push(...report.failed)
    for (const [name, hits] of report.marks)
      this.marks.counts.set(name, (this.marks.counts.get(name) ?? 0) + hits)
  }

  /** What no seed ever came to. */
  get missed(): ReadonlyArray<string> {
    return this.#names.filter((name) => !this.marks.counts.has(name))
  }

  /** No seed failed, and so many seeds came everywhere that there is to come to. */
  get isGood(): boolean {
    return this.failed.length === 0 && (this.missed.length === 0 || this.seeds < enoughSeeds)
  }

  show(): string {
    const lines = this.#names.map((name) => `${`${this.marks.counts.get(name) ?? 0}`.padStart(10)}  ${name}`)
    const hit = this.#names.length - this.missed.length
    lines.push(
      "",
      `${this.seeds} seeds, ${this.committed} entries committed, ${hit} of ${this.#names.length} marks hit`
    )
    if (this.missed.length > 0) lines.push(`never: ${this.missed.join(", ")}`)
    if (this.failed.length > 0) lines.push(`failed: ${this.failed.map(([seed]) => seed).join(" ")}`)
    return lines.join("\n")
  }
}
