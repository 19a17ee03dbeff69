/** What a process tells monitoring about its actors, by kind: an actor's id is no label, there are too many of them. */
import type { DeadLetterReport } from "#runtime/dead-letters.ts"
import { Histogram } from "#runtime/histogram.ts"
import type { Family, HistogramSample, Labels, Sample } from "#runtime/openmetrics.ts"
import type { Registry } from "#runtime/registry.ts"
import type { Telemetry } from "#runtime/telemetry.ts"

export interface MetricsSource {
  readonly telemetry: Telemetry
  readonly registry: Registry
  readonly deadLetters: DeadLetterReport
  /** Errors that reached nobody. */
  readonly strays: number
  /** The host's clock, in milliseconds. */
  readonly now: number
}

interface KindFigures {
  actors: number
  handled: number
  depth: number
  oldestMs: number
  performing: number
  crashes: number
  restarts: number
  readonly decide: Histogram
}

/** Powers of four from 1 µs to 16.8 s: exponents of two. */
const bounds = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24]

/** Every family that a process has, in a fixed order. */
export function actorMetrics(source: MetricsSource): ReadonlyArray<Family> {
  const kinds = figuresOf(source)
  const by = (value: (figures: KindFigures) => number): ReadonlyArray<Sample> =>
    [...kinds].map(([kind, figures]) => ({ labels: { kind }, value: value(figures) }))
  const { traffic, calls } = source.telemetry
  const { byReason } = source.deadLetters
  return [
    gauge(
      "troupe_actors",
      "Actors of this process, running or between two lives.",
      by((kind) => kind.actors)
    ),
    counter(
      "troupe_actor_handled",
      "Messages that actors decided about.",
      by((kind) => kind.handled)
    ),
    {
      type: "histogram",
      name: "troupe_actor_decide_seconds",
      unit: "seconds",
      help: "Time in one decision.",
      samples: [...kinds].map(([kind, { decide }]) => sampleOf({ kind }, decide))
    },
    gauge(
      "troupe_actor_mailbox_depth",
      "Messages that wait.",
      by((kind) => kind.depth)
    ),
    {
      ...gauge(
        "troupe_actor_mailbox_oldest_seconds",
        "How long the oldest message has waited.",
        by((kind) => kind.oldestMs / 1_000)
      ),
      unit: "seconds"
    },
    gauge(
      "troupe_actor_performing",
      "Actions under way.",
      by((kind) => kind.performing)
    ),
    counter(
      "troupe_actor_crashes",
      "Lives that ended with an error.",
      by((kind) => kind.crashes)
    ),
    counter(
      "troupe_actor_restarts",
      "Lives after an actor's first.",
      by((kind) => kind.restarts)
    ),
    counter("troupe_dead_letters", "Messages nobody took.", labelled("reason", Object.entries(byReason))),
    counter("troupe_stray_errors", "Errors that reached nobody and belong to no running actor.", [
      { labels: {}, value: source.strays }
    ]),
    counter(
      "troupe_transport_messages",
      "Messages to and from other processes.",
      labelled("direction", [
        ["sent", traffic.sent],
        ["received", traffic.received]
      ])
    ),
    {
      ...counter(
        "troupe_transport_bytes",
        "Bodies of messages to and from other processes.",
        labelled("direction", [
          ["sent", traffic.sentBytes],
          ["received", traffic.receivedBytes]
        ])
      ),
      unit: "bytes"
    },
    counter(
      "troupe_remote_asks",
      "Questions to other processes by how they ended.",
      labelled("outcome", calls)
    )
  ]
}

function figuresOf({ telemetry, registry, now }: MetricsSource): ReadonlyMap<string, KindFigures> {
  const kinds = new Map<string, KindFigures>()
  for (const { kind, handled, crashes, restarts, decide } of telemetry.kinds()) {
    const all = new Histogram()
    all.add(decide)
    const none = { actors: 0, depth: 0, oldestMs: 0, performing: 0 }
    kinds.set(kind, { ...none, handled, crashes, restarts, decide: all })
  }
  for (const cell of registry.cells()) {
    const figures = kinds.get(cell.definition.kind)
    if (!figures) continue
    const { oldestAt } = cell.mailbox
    figures.actors++
    figures.handled += cell.handled
    figures.depth += cell.mailbox.depth
    if (oldestAt !== undefined) figures.oldestMs = Math.max(figures.oldestMs, now - oldestAt)
    figures.performing += cell.performing
    figures.decide.add(cell.decide)
  }
  return kinds
}

const sampleOf = (labels: Labels, counts: Histogram): HistogramSample => ({
  labels,
  buckets: bounds.map((exponent) => [2 ** exponent / 1_000_000, counts.below(exponent)]),
  count: counts.count,
  sum: counts.sumMicros / 1_000_000
})

/** Durations, whose name ends with `_seconds`. */
export const histogram = (name: string, help: string, counts: Histogram): Family => ({
  type: "histogram",
  name,
  unit: "seconds",
  help,
  samples: [sampleOf({}, counts)]
})

export const counter = (name: string, help: string, samples: ReadonlyArray<Sample>): Family => ({
  type: "counter",
  name,
  help,
  samples
})

export const gauge = (name: string, help: string, samples: ReadonlyArray<Sample>): Family => ({
  type: "gauge",
  name,
  help,
  samples
})

const labelled = (label: string, values: Iterable<readonly [string, number]>): ReadonlyArray<Sample> =>
  [...values].map(([name, value]) => ({ labels: { [label]: name }, value }))
