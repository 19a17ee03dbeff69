/** A service that follows its load: what was measured, what each target wanted, what was decided of it, and why. */
import { useEffect, useRef, useState } from "preact/hooks"
import uPlot from "uplot"
import { type Scaled, showValue } from "#cli/print/autoscale.ts"
import { clock } from "../live.ts"
import { usePolled } from "../poll.ts"
import { recall, type Sample } from "../recall.ts"
import { theme } from "../theme.ts"
import { Card, Moments, Same } from "../ui.tsx"
import { Curve } from "./course.tsx"

const everyMs = 2_000
const height = 180
const colors = ["--done", "--good", "--bad", "--soft"]
/** A moment is not stretched to a chart. */
const leastSeconds = 60

export function Scaling({ id, name }: { id: string; name: string }) {
  const [found, setFound] = useState<Scaled>()
  const [samples, setSamples] = useState<ReadonlyArray<Sample>>([])
  usePolled<Scaled>(`/autoscale/${id}`, everyMs, (next) => {
    setFound(next)
    if (next !== undefined) setSamples((seen) => recall(seen, next))
  })
  if (found === undefined) return null
  const { Min: min, Max: max, Targets, Schedule, Problem, Now, Changes } = found
  const times = samples.map(({ at }) => at * 1000)
  return (
    <Card
      title="Scaling"
      note={
        min === undefined ? undefined : (
          <small class="faint">
            {min} to {max} tasks
          </small>
        )
      }
    >
      {Problem === undefined ? null : <p class="error">{Problem}; what was asked before stays in force</p>}
      <p>{Now === undefined ? "Nothing has been decided yet." : Now.Why}</p>
      <Tasks samples={samples} scaled={found} />
      <ul class="legend">
        <li style={{ "--tone": "var(--accent)" }}>replicas</li>
        {Targets.map(({ Name }, at) => (
          <li key={Name} style={{ "--tone": `var(${colors[at % colors.length]})` }}>
            wanted by {Name}
          </li>
        ))}
      </ul>
      {Targets.map(({ Name, Metric, Goal }, at) => (
        <Curve
          key={Name}
          title={`${Name}, one task is for ${showValue(Metric, Goal)}`}
          unit={(value) => showValue(Metric, value)}
          color={colors[at % colors.length] ?? "--done"}
          times={times}
          values={samples.map(({ figures }) => figures[Name] ?? null)}
        />
      ))}
      {Schedule.map(({ Pattern, Replicas }) => (
        <p key={Pattern} class="faint">
          {Pattern}: at least {Replicas}
        </p>
      ))}
      {Changes.length === 0 ? null : (
        <Moments label="Decisions" kind="decisions">
          {Changes.map(({ At, From, To, Why }) => (
            <li key={At}>
              <time>{clock(Date.parse(At))}</time>
              <strong>
                {From} → {To}
              </strong>
              <small>{Why}</small>
            </li>
          ))}
        </Moments>
      )}
      <Same command={`troupe autoscale ${name}`} />
    </Card>
  )
}

/** Replicas as they were decided, between their bounds, and what each target wanted. */
function Tasks({ samples, scaled }: { samples: ReadonlyArray<Sample>; scaled: Scaled }) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | undefined>(undefined)
  const { Targets, Min, Max, Replicas } = scaled
  const names = Targets.map(({ Name }) => Name).join()
  useEffect(() => {
    const element = place.current
    if (element === null) return
    const color = (name: string): string => getComputedStyle(element).getPropertyValue(name)
    const stepped = uPlot.paths.stepped?.({ align: 1 })
    const bound = { stroke: color("--soft"), dash: [4, 4], width: 1, points: { show: false } }
    const axis = {
      stroke: color("--soft"),
      grid: { stroke: color("--line"), width: 1 },
      ticks: { show: false }
    }
    const made = new uPlot(
      {
        width: element.clientWidth || 300,
        height,
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { range: (_, first, last) => [Math.min(first, last - leastSeconds), last] },
          y: { range: (_, __, most) => [0, (most || 1) * 1.1] }
        },
        axes: [
          {
            ...axis,
            grid: { show: false },
            space: 80,
            values: (_, moments) => moments.map((seconds) => clock(seconds * 1000))
          },
          { ...axis, size: 34 }
        ],
        series: [
          {},
          bound,
          bound,
          ...Targets.map((_, at) => ({
            stroke: color(colors[at % colors.length] ?? "--done"),
            width: 1,
            spanGaps: true,
            points: { show: false }
          })),
          {
            stroke: color("--accent"),
            width: 2,
            points: { show: false },
            ...(stepped !== undefined && { paths: stepped })
          }
        ]
      },
      [[]],
      element
    )
    plot.current = made
    const sized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }))
    sized.observe(element)
    return () => {
      sized.disconnect()
      made.destroy()
    }
  }, [names, theme.value])
  useEffect(() => {
    const line = (value: (sample: Sample) => number | null | undefined) =>
      samples.map((sample) => value(sample) ?? null)
    plot.current?.setData([
      samples.map(({ at }) => at),
      line(() => Min),
      line(() => Max),
      ...Targets.map(({ Name }) => line(({ wants }) => wants[Name])),
      line(({ replicas }) => replicas)
    ])
  }, [samples, names, theme.value])
  return (
    <div ref={place} role="img" aria-label={`Replicas over time, now ${Replicas}, of ${Min} to ${Max}`} />
  )
}
