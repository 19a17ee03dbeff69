/**
 * Reads what a node says of its last second. By hand, and not by a schema: managers read it from every node every
 * second, and a row of numbers is checked in passing.
 */
import { nodeMetrics, taskMetrics } from "#actors/meter/figures.ts"

export interface ReadFigures {
  /** In the order of `nodeMetrics`; NaN is what is not known. */
  readonly node: ReadonlyArray<number>
  /** By task id, in the order of `taskMetrics`. */
  readonly tasks: ReadonlyMap<string, ReadonlyArray<number>>
}

/** Nothing where it is not what a node says. Columns that we do not know are left out, those that miss are unknown. */
export function parseFigures(text: string): ReadFigures | undefined {
  let read: unknown
  try {
    read = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isRecord(read) || !isRecord(read.columns) || !isRecord(read.tasks)) return undefined
  const ofNode = placesOf(read.columns.node, nodeMetrics)
  const ofTask = placesOf(read.columns.task, taskMetrics)
  if (ofNode === undefined || ofTask === undefined || !Array.isArray(read.node)) return undefined
  const tasks = new Map<string, ReadonlyArray<number>>()
  for (const [id, row] of Object.entries(read.tasks)) {
    if (!Array.isArray(row)) return undefined
    tasks.set(id, pick(row, ofTask))
  }
  return { node: pick(read.node, ofNode), tasks }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null

/** Where in a row each of ours is; -1 where it is not. */
const placesOf = (columns: unknown, ours: ReadonlyArray<string>): ReadonlyArray<number> | undefined =>
  Array.isArray(columns) ? ours.map((name) => columns.indexOf(name)) : undefined

const pick = (row: ReadonlyArray<unknown>, places: ReadonlyArray<number>): ReadonlyArray<number> =>
  places.map((place) => {
    const value = row[place]
    return typeof value === "number" ? value : Number.NaN
  })
