/** Load, tasks and decisions over time, as an SVG that needs nothing else. */
import { changes, type Instant } from "#test/support/autoscaled.ts"

const [width, height, margin] = [1_200, 360, 40]

export function drawCourse(course: ReadonlyArray<Instant>): string {
  const most = Math.max(1, ...thin(course).map(({ load, to }) => Math.max(load, to)))
  const x = (second: number): string => (margin + (second / course.length) * (width - 2 * margin)).toFixed(1)
  const y = (value: number): string => (height - margin - (value / most) * (height - 2 * margin)).toFixed(1)
  const line = (value: (instant: Instant) => number, colour: string): string =>
    `<polyline fill="none" stroke="${colour}" points="${thin(course)
      .map((instant) => `${x(instant.second)},${y(value(instant))}`)
      .join(" ")}"/>`
  const marks = changes(course).map(
    ({ second, from, to, why }) =>
      `<circle cx="${x(second)}" cy="${y(to)}" r="2.5" fill="${to > from ? "#c2410c" : "#15803d"}"><title>${from} to ${to}: ${escaped(why)}</title></circle>`
  )
  const rules = [0, 0.25, 0.5, 0.75, 1].map(
    (share) => `<text x="4" y="${y(most * share)}">${Math.round(most * share)}</text>`
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
<rect width="${width}" height="${height}" fill="white"/>
<text x="${margin}" y="20">load (blue, in tasks' shares) and tasks (black); each dot is a decision, with its reason</text>
${rules.join("\n")}
${line(({ load }) => load, "#60a5fa")}
${line(({ to }) => to, "black")}
${marks.join("\n")}
</svg>
`
}

/** No more points than the picture is wide. */
function thin(course: ReadonlyArray<Instant>): ReadonlyArray<Instant> {
  const step = Math.ceil(course.length / (2 * width))
  return course.filter((_, at) => at % step === 0)
}

const escaped = (text: string): string =>
  text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;")
