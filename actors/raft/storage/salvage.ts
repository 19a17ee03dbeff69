/**
 * What several damaged logs still hold together: the longest log that is provably one. Pure; `salvage-files.ts`
 * reads and writes.
 *
 * Raft's rules make the proof. Two entries of one index and term are one entry, and so is all before them (log
 * matching). A leader appends only, so neighbours of one term belong together. Where one member had both in its
 * log, they belong together. What a commit hint covers was committed, and nothing else can stand there. Where none
 * of this tells which entry follows, the log ends: nothing is guessed.
 */
import type { Entry } from "#actors/raft/entry.ts"
import { sameBytes } from "#actors/raft/storage/bytes.ts"

/** What one member's log says, frame by frame: see `inspect.ts`. `name` is for people. */
export interface SalvageSource {
  readonly name: string
  readonly term: number
  /** Sound snapshots, any order. */
  readonly snapshots: ReadonlyArray<{ readonly index: number; readonly term: number }>
  /** States of the log from which facts follow, in order. */
  readonly frames: ReadonlyArray<SalvageFrame>
  /** Something of this log cannot be read, so it may have held more. */
  readonly damaged: boolean
}

/** `afterGap`: what stood directly before this frame is damaged or lost. */
export interface SalvageFrame {
  readonly afterGap: boolean
  readonly truncateFrom: number
  readonly commitHint: number
  readonly entries: ReadonlyArray<Entry>
}

/** The log to go on with: entries follow `base` without a gap. */
export interface Salvaged {
  readonly _tag: "Salvaged"
  /** The snapshot to begin from and who has it; absent when the log is whole from its first entry. */
  readonly base?: { readonly source: string; readonly index: number; readonly term: number }
  readonly entries: ReadonlyArray<Entry>
  readonly lastIndex: number
  /** Above every term that anybody has seen. */
  readonly term: number
  /** Known to be committed up to here. */
  readonly committed: number
  /** What may be missing at the end, in sentences; empty when nothing can be. */
  readonly doubts: ReadonlyArray<string>
}

/** There is no log that is provably whole; each line says what is missing or contradicts itself. */
export interface Unsalvageable {
  readonly _tag: "Unsalvageable"
  readonly missing: ReadonlyArray<string>
}

interface Node {
  readonly entry: Entry
  committed: boolean
  /** Terms that stood directly before it in some log. */
  readonly after: Set<number>
}

const sameEntry = (a: Entry, b: Entry): boolean => a.type === b.type && sameBytes(a.data, b.data)

/** Everything known of each index: its candidates by term. */
class Facts {
  readonly byIndex = new Map<number, Map<number, Node>>()
  readonly contradictions: Array<string> = []
  committed = 0
  highest = 0

  add(source: SalvageSource): void {
    // The member's log as it was: index to term, holes where it is unknown.
    const log = new Map<number, number>()
    let last = 0
    for (const { index, term } of source.snapshots) {
      log.set(index, term)
      this.committed = Math.max(this.committed, index)
    }
    let settled = 0
    for (const frame of source.frames) {
      // What is lost may have replaced anything that was not committed by then.
      if (frame.afterGap) for (let i = settled + 1; i <= last; i++) log.delete(i)
      if (frame.truncateFrom > 0) for (let i = frame.truncateFrom; i <= last; i++) log.delete(i)
      for (const entry of frame.entries) {
        const node = this.#node(entry, source.name)
        const before = log.get(entry.index - 1)
        if (before !== undefined) node.after.add(before)
        log.set(entry.index, entry.term)
        last = Math.max(last, entry.index)
      }
      for (let i = settled + 1; i <= frame.commitHint; i++) {
        const term = log.get(i)
        const node = term === undefined ? undefined : this.byIndex.get(i)?.get(term)
        if (node !== undefined) node.committed = true
      }
      settled = Math.max(settled, frame.commitHint)
      this.committed = Math.max(this.committed, frame.commitHint)
    }
  }

  #node(entry: Entry, source: string): Node {
    const candidates = this.byIndex.get(entry.index) ?? new Map<number, Node>()
    this.byIndex.set(entry.index, candidates)
    this.highest = Math.max(this.highest, entry.index)
    const known = candidates.get(entry.term)
    if (known !== undefined) {
      if (!sameEntry(known.entry, entry)) {
        this.contradictions.push(
          `Entry ${entry.index} of term ${entry.term} differs in ${source}: these are not logs of one group`
        )
      }
      return known
    }
    const node: Node = { entry, committed: false, after: new Set() }
    candidates.set(entry.term, node)
    return node
  }

  /** What may stand at an index: only the committed entry where one is known. */
  at(index: number): ReadonlyArray<Node> {
    const candidates = [...(this.byIndex.get(index)?.values() ?? [])]
    const committed = candidates.filter((node) => node.committed)
    if (committed.length > 1) {
      this.contradictions.push(`Entry ${index} was committed twice: these are not logs of one group`)
    }
    return committed.length > 0 ? committed : candidates
  }
}

/** Merges what members still have, or says what is missing. `base` is chosen among the sources' snapshots. */
export function salvage(sources: ReadonlyArray<SalvageSource>): Salvaged | Unsalvageable {
  const facts = new Facts()
  for (const source of sources) facts.add(source)
  const base = newestSnapshot(sources)
  const from = base?.index ?? 0
  const chain = longestChain(facts, from, base?.term ?? 0)
  if (facts.contradictions.length > 0)
    return { _tag: "Unsalvageable", missing: [...new Set(facts.contradictions)] }

  const lastIndex = from + chain.length
  if (lastIndex < facts.committed) {
    const above = [...facts.byIndex.keys()].filter((index) => index > lastIndex + 1).sort((a, b) => a - b)[0]
    const rest =
      above === undefined ? "" : `; entry ${above} and some after it are there but cannot be joined`
    const why = facts.byIndex.has(lastIndex + 1) ? "cannot be told among several" : "is in none of these logs"
    return {
      _tag: "Unsalvageable",
      missing: [`Entries up to ${facts.committed} were committed, but entry ${lastIndex + 1} ${why}${rest}`]
    }
  }
  const unused =
    facts.highest > lastIndex ? [`Entries after ${lastIndex} are there but cannot be joined`] : []
  const hurt = sources.filter(({ damaged }) => damaged).map(({ name }) => name)
  return {
    _tag: "Salvaged",
    ...(base === undefined ? {} : { base }),
    entries: chain,
    lastIndex,
    term: Math.max(0, ...sources.map(({ term }) => term)) + 1,
    committed: facts.committed,
    doubts: [
      ...unused,
      ...(hurt.length === 0
        ? []
        : [`What ${hurt.join(", ")} may have held after entry ${lastIndex} and lost is not known`])
    ]
  }
}

function newestSnapshot(sources: ReadonlyArray<SalvageSource>): Salvaged["base"] {
  let newest: Salvaged["base"]
  for (const { name, snapshots } of sources) {
    for (const { index, term } of snapshots) {
      if (newest === undefined || index > newest.index) newest = { source: name, index, term }
    }
  }
  return newest
}

/** Whether `node` stands directly after an entry of `term` (the snapshot's, or 0 at the log's beginning). */
const follows = (node: Node, term: number, previous: Node | undefined, atStart: boolean): boolean =>
  atStart ||
  node.after.has(term) ||
  node.entry.term === term ||
  (node.committed && previous?.committed === true)

/**
 * Of all chains of entries from `base` on the best: as an election among the members would choose, the higher last
 * term first, then the longer one (Raft §5.4.1).
 */
function longestChain(facts: Facts, base: number, baseTerm: number): ReadonlyArray<Entry> {
  interface Step {
    readonly node: Node
    readonly before: Step | undefined
  }
  let ends: ReadonlyArray<Step> = []
  let best: Step | undefined
  for (let index = base + 1; index <= facts.highest; index++) {
    const next: Array<Step> = []
    for (const node of facts.at(index)) {
      if (index === base + 1) {
        // After a snapshot the entry before is committed, so a committed one follows; so does what was seen after it.
        const joined = follows(node, baseTerm, undefined, base === 0) || node.committed
        if (joined && node.entry.term >= baseTerm) next.push({ node, before: undefined })
        continue
      }
      const before = ends.find((end) => follows(node, end.node.entry.term, end.node, false))
      if (before !== undefined) next.push({ node, before })
    }
    if (next.length === 0) break
    ends = next
    for (const end of ends) {
      if (best === undefined || isBetter(end.node.entry, best.node.entry, facts.committed)) best = end
    }
  }
  const chain: Array<Entry> = []
  for (let step = best; step !== undefined; step = step.before) chain.push(step.node.entry)
  return chain.reverse()
}

/** What is known to be committed comes first: a chain that does not hold it is none. */
const isBetter = (a: Entry, b: Entry, committed: number): boolean => {
  const aWhole = a.index >= committed
  const bWhole = b.index >= committed
  if (aWhole !== bWhole) return aWhole
  if (!aWhole) return a.index > b.index
  return a.term !== b.term ? a.term > b.term : a.index > b.index
}
