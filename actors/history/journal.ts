/**
 * The newest changes of every object, in this manager's memory: as text, within a bound. Tasks have a part of their
 * own, so that a busy service does not make the cluster forget who changed it.
 */
import { comparePlaces, describe, type HistoryRecord, type Place } from "#actors/history/describe.ts"
import type { ChangeSet, LedgerReader } from "#actors/ledger/reader.ts"
import { toMs } from "#actors/model/time.ts"

export type HistoryKind = HistoryRecord["Kind"]

/** One change, packed. */
export interface Kept {
  readonly place: Place
  readonly kind: HistoryKind
  readonly id: string
  readonly name: string
  /** Of a task. */
  readonly serviceId: string
  /** Milliseconds since the epoch. */
  readonly time: number
  /** A `HistoryRecord` as JSON. */
  readonly text: string
}

export interface Selection {
  /** Only of this object; of a service also its tasks', where `kinds` has them. */
  readonly id?: string
  /** All where absent. */
  readonly kinds?: ReadonlySet<HistoryKind>
  readonly sinceMs?: number
  readonly untilMs?: number
}

export interface Found {
  /** Oldest first. */
  readonly changes: ReadonlyArray<Kept>
  readonly more: boolean
}
/** What came right after the asked place is no longer kept; all after `after` is. */
export interface Lost {
  readonly after: Place
}

/** Characters of text, of tasks and of all else; some ten thousand changes each. */
const usualBudget = 4_000_000
/** Names of services that are gone, for the tasks that outlive them. */
const mostNames = 1_000

class Shelf {
  /** Everything after this place is kept. */
  after: Place
  #rows: Array<Kept> = []
  #first = 0
  #characters = 0
  #hasLost = false
  readonly #budget: number

  constructor(after: Place, budget: number) {
    this.after = after
    this.#budget = budget
  }

  add(row: Kept): void {
    this.#rows.push(row)
    this.#characters += row.text.length
    while (this.#characters > this.#budget && this.#first < this.#rows.length - 1) {
      const oldest = this.#rows[this.#first++] as Kept
      this.#characters -= oldest.text.length
      this.after = oldest.place
      this.#hasLost = true
    }
    // Moved in strides, because every cut moves what stays.
    if (this.#first > 1_024 && this.#first > this.#rows.length / 2) {
      this.#rows = this.#rows.slice(this.#first)
      this.#first = 0
    }
  }

  /** Puts all that came after `after` before what is here, as much as there is room for; nothing where something is missing between. */
  prepend(older: ReadonlyArray<Kept>, after: Place): void {
    if (this.#hasLost) return
    const before = older.filter(({ place }) => comparePlaces(place, this.after) < 0)
    let from = before.length
    while (from > 0 && this.#characters + (before[from - 1] as Kept).text.length <= this.#budget) {
      from -= 1
      this.#characters += (before[from] as Kept).text.length
    }
    this.#rows = [...before.slice(from), ...this.#rows]
    this.after = before[from - 1]?.place ?? after
  }

  *newestFirst(): Generator<Kept> {
    for (let at = this.#rows.length - 1; at >= this.#first; at--) yield this.#rows[at] as Kept
  }
}

/** The place before every change of the entry after this one. */
export const pastEntry = (index: number): Place => ({ index: index + 1, position: 0 })

export class Journal {
  readonly #tasks: Shelf
  readonly #others: Shelf
  readonly #listeners = new Set<(row: Kept) => void>()
  readonly #gone = new Map<string, string>()
  #newest: Place

  /** `index`: the last entry that was applied before anything is taken. */
  constructor(index: number, budget = usualBudget) {
    this.#newest = pastEntry(index)
    this.#tasks = new Shelf(this.#newest, budget)
    this.#others = new Shelf(this.#newest, budget)
  }

  /** Where a reader stands that knows all that is known now. */
  get newest(): Place {
    return this.#newest
  }

  /** What was chosen and came after this place is all here. */
  after({ kinds }: Selection): Place {
    const [tasks, others] = [this.#tasks.after, this.#others.after]
    if (kinds !== undefined && !kinds.has("task")) return others
    if (kinds?.size === 1) return tasks
    return comparePlaces(tasks, others) > 0 ? tasks : others
  }

  /** Takes what an entry changed; a follower of the ledger. */
  take(set: ChangeSet, reader: Pick<LedgerReader, "get">): void {
    for (const [place, record] of describe(set, this.#namesOf(reader))) {
      const row = pack(place, record)
      if (record.Kind === "service" && record.Action === "remove") this.#remember(record.ID, record.Name)
      this.#shelfOf(row).add(row)
      this.#newest = place
      for (const listen of this.#listeners) listen(row)
    }
  }

  /** All that is kept, oldest first. */
  all(): ReadonlyArray<Kept> {
    return [...this.#newestFirst()].reverse()
  }

  /** Puts what the log still tells before what is here: all after entry `index`. */
  prepend(rows: ReadonlyArray<Kept>, index: number): void {
    for (const shelf of [this.#tasks, this.#others]) {
      shelf.prepend(
        rows.filter((row) => this.#shelfOf(row) === shelf),
        pastEntry(index)
      )
    }
  }

  follow(listen: (row: Kept) => void): { readonly unsubscribe: () => void } {
    this.#listeners.add(listen)
    return { unsubscribe: () => void this.#listeners.delete(listen) }
  }

  /** The newest `limit` of what was chosen. */
  newestOf(selection: Selection, limit: number): Found {
    const chosen: Array<Kept> = []
    for (const row of this.#newestFirst()) {
      if (!isChosen(row, selection)) continue
      if (chosen.length === limit) return { changes: chosen.reverse(), more: true }
      chosen.push(row)
    }
    return { changes: chosen.reverse(), more: false }
  }

  /** The oldest `limit` of what was chosen after a place; `Lost` where some of it may be missing. */
  from(place: Place, selection: Selection, limit: number): Found | Lost {
    const after = this.after(selection)
    if (comparePlaces(place, after) < 0) return { after }
    const later: Array<Kept> = []
    for (const row of this.#newestFirst()) {
      if (comparePlaces(row.place, place) <= 0) break
      if (isChosen(row, selection)) later.push(row)
    }
    const changes = later.reverse()
    return { changes: changes.slice(0, limit), more: changes.length > limit }
  }

  /** The objects that are or were called so, by id, the beginning of one, or name; the one that changed last comes first. */
  find(input: string, kind?: HistoryKind): ReadonlyArray<Pick<Kept, "id" | "kind" | "name">> {
    const named = new Map<string, Kept>()
    const begun = new Map<string, Kept>()
    for (const row of this.#newestFirst()) {
      if (kind !== undefined && row.kind !== kind) continue
      if (row.id === input) return [row]
      if (row.name === input && !named.has(row.id)) named.set(row.id, row)
      if (input !== "" && row.id.startsWith(input) && !begun.has(row.id)) begun.set(row.id, row)
    }
    return [...(named.size > 0 ? named : begun).values()]
  }

  *#newestFirst(): Generator<Kept> {
    const sources = [this.#tasks.newestFirst(), this.#others.newestFirst()] as const
    let [task, other] = [sources[0].next(), sources[1].next()]
    while (task.done !== true || other.done !== true) {
      if (
        other.done === true ||
        (task.done !== true && comparePlaces(task.value.place, other.value.place) > 0)
      ) {
        yield task.value as Kept
        task = sources[0].next()
      } else {
        yield other.value
        other = sources[1].next()
      }
    }
  }

  readonly #shelfOf = ({ kind }: Kept): Shelf => (kind === "task" ? this.#tasks : this.#others)

  #namesOf(reader: Pick<LedgerReader, "get">): Pick<LedgerReader, "get"> {
    const gone = this.#gone
    return {
      get: (kind, id) => {
        const found = reader.get(kind, id)
        const name = found === undefined && kind === "service" ? gone.get(id) : undefined
        return name === undefined ? found : ({ Spec: { Name: name } } as typeof found)
      }
    }
  }

  #remember(id: string, name: string): void {
    this.#gone.set(id, name)
    for (const oldest of this.#gone.keys()) {
      if (this.#gone.size <= mostNames) break
      this.#gone.delete(oldest)
    }
  }
}

function isChosen(row: Kept, { id, kinds, sinceMs, untilMs }: Selection): boolean {
  if (id !== undefined && row.id !== id && row.serviceId !== id) return false
  if (kinds !== undefined && !kinds.has(row.kind)) return false
  return (sinceMs === undefined || row.time >= sinceMs) && (untilMs === undefined || row.time <= untilMs)
}

const pack = (place: Place, record: HistoryRecord): Kept => ({
  place,
  kind: record.Kind,
  id: record.ID,
  name: record.Name,
  serviceId: record.ServiceID ?? "",
  time: toMs(record.Time),
  text: JSON.stringify(record)
})

/** `812.1`, or `undefined`. */
export function parsePlace(text: string): Place | undefined {
  const [, index, position] = /^(\d{1,15})\.(\d{1,9})$/.exec(text) ?? []
  return index === undefined ? undefined : { index: Number(index), position: Number(position) }
}
