/** What something used in the last quarter of an hour, where the cluster remembers it. */
import { useEffect, useRef, useState } from "preact/hooks"
import uPlot from "uplot"
import { usePolled } from "../poll.ts"
import { theme } from "../theme.ts"
import { Card } from "../ui.tsx"

interface Found {
  readonly Times: ReadonlyArray<number>
  readonly Metrics: Readonly<Record<string, ReadonlyArray<number | null>>>
}

const drawn = [
  { metric: "cpu", title: "CPU", unit: (value: number) => `${value.toFixed(2)} cores`, color: "--accent" },
  {
    metric: "memory",
    title: "Memory",
    unit: (value: number) => `${(value / 1_048_576).toFixed(1)} MiB`,
    color: "--good"
  }
]
const everyMs = 5_000

export function Course({ kind, id }: { kind: "service" | "node" | "task"; id: string }) {
  const [found, setFound] = useState<Found>()
  usePolled<Found>(`/metrics/history?${kind}=${id}&metric=cpu,memory&since=15m`, everyMs, setFound)
  if (found === undefined || found.Times.length < 2) return null
  return (
    <Card title="Use" note={<small class="faint">15 minutes</small>}>
      {drawn.map((one) => (
        <Curve key={one.metric} {...one} times={found.Times} values={found.Metrics[one.metric] ?? []} />
      ))}
    </Card>
  )
}

/** One figure over time. Times are milliseconds since the epoch; `color` names a variable of the theme. */
export function Curve(props: {
  readonly title: string
  readonly unit: (value: number) => string
  readonly color: string
  readonly times: ReadonlyArray<number>
  readonly values: ReadonlyArray<number | null>
}) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | undefined>(undefined)
  const { times, values, title, unit, color } = props
  const last = values.findLast((value) => value !== null)
  const said = last === undefined || last === null ? "unknown" : unit(last)
  useEffect(() => {
    const element = place.current
    if (element === null) return
    const stroke = getComputedStyle(element).getPropertyValue(color)
    const made = new uPlot(
      {
        width: element.clientWidth || 300,
        height: 90,
        legend: { show: false },
        cursor: { show: false },
        scales: { y: { range: (_, __, max) => [(max || 1) * -0.03, (max || 1) * 1.15] } },
        axes: [{ show: false }, { show: false }],
        series: [{}, { stroke, width: 1.6, fill: `color-mix(in srgb, ${stroke} 16%, transparent)` }]
      },
      [[], []],
      element
    )
    plot.current = made
    const sized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: 90 }))
    sized.observe(element)
    return () => {
      sized.disconnect()
      made.destroy()
    }
  }, [theme.value])
  useEffect(() => {
    plot.current?.setData([times.map((ms) => ms / 1000), [...values]])
  }, [times, values, theme.value])
  return (
    <figure class="curve">
      <figcaption>
        <span>{title}</span>
        <strong>{said}</strong>
      </figcaption>
      <div ref={place} role="img" aria-label={`${title} over time, now ${said}`} />
    </figure>
  )
}
