/** The end of a service's output, as it comes, and a search in it. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"
import { clock, taskOf } from "../live.ts"
import { makeLogReader } from "../log-frames.ts"
import { type Line, orderLines, readLine } from "../order-lines.ts"
import { Card, Empty, hue, Same, Search } from "../ui.tsx"

const kept = 1_000
/** After the stream broke off, or could not be had. */
const againMs = 2_000

/** Tasks of one slot follow one another. */
function writerName(taskId: string): string {
  const task = taskOf(taskId)
  return task === undefined
    ? `gone ${taskId.slice(0, 12)}`
    : `${task.Name} ${task.State} ${taskId.slice(0, 12)}`
}

interface Of {
  readonly id: string
  readonly name: string
  readonly of?: "services" | "tasks"
}

export function Logs({ id, name, of = "services" }: Of) {
  const [lines, setLines] = useState<ReadonlyArray<Line>>([])
  const [search, setSearch] = useState("")
  const [only, setOnly] = useState("")
  const end = useRef<HTMLOListElement>(null)
  /** Whoever reads further up is left there. */
  const isAtEnd = useRef(true)
  useEffect(() => {
    const leaving = new AbortController()
    let waiting: Array<Line> = []
    let key = 0
    let isAnew = false
    const draw = setInterval(() => {
      if (waiting.length === 0) return
      const [more, starts] = [waiting, isAnew]
      waiting = []
      isAnew = false
      setLines((before) => orderLines(starts ? [] : before, more, kept))
    }, 200)
    const read = async (): Promise<void> => {
      const query = "stdout=1&stderr=1&follow=1&tail=200&timestamps=1&details=1&framed=1"
      const answer = await fetch(`/${of}/${id}/logs?${query}`, { signal: leaving.signal })
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`)
      const reader = answer.body?.getReader()
      const take = makeLogReader((line) => void waiting.push(readLine(line, key++)))
      // It tells the last lines over again.
      waiting = []
      isAnew = true
      for (let part = await reader?.read(); part?.done === false; part = await reader?.read())
        take(part.value)
    }
    let again: ReturnType<typeof setTimeout> | undefined
    const follow = (): void => {
      const later = (): void => {
        if (!leaving.signal.aborted) again = setTimeout(follow, againMs)
      }
      read().then(later, later)
    }
    follow()
    return () => {
      clearInterval(draw)
      clearTimeout(again)
      leaving.abort()
    }
  }, [of, id])
  const wanted = search.toLowerCase()
  const shown = lines.filter(
    ({ text, taskId }) => (only === "" || taskId === only) && text.toLowerCase().includes(wanted)
  )
  const writers = [...new Set([...(only === "" ? [] : [only]), ...lines.map(({ taskId }) => taskId)])]
    .map((taskId) => ({ taskId, name: writerName(taskId) }))
    .sort((one, other) => one.name.localeCompare(other.name, "en", { numeric: true }))
  // Before the next scroll event, which would take what has grown below for a reader who went up.
  useLayoutEffect(() => {
    const list = end.current
    if (list !== null && isAtEnd.current) list.scrollTop = list.scrollHeight
  }, [shown])
  return (
    <Card
      title="Output"
      note={
        <div class="choices">
          {of === "tasks" ? null : (
            <select
              aria-label="Task whose output is shown"
              value={only}
              onChange={(event) => setOnly(event.currentTarget.value)}
            >
              <option value="">all tasks</option>
              {writers.map(({ taskId, name }) => (
                <option key={taskId} value={taskId}>
                  {name}
                </option>
              ))}
            </select>
          )}
          <Search label="Search in the output" placeholder="search" text={search} onText={setSearch} />
        </div>
      }
    >
      {shown.length === 0 ? (
        <Empty>
          {lines.length === 0
            ? "Nothing was said yet."
            : `None of the last ${lines.length} lines fits the search.`}
        </Empty>
      ) : (
        <ol
          class="log"
          ref={end}
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
          tabIndex={0}
          aria-label="Output"
          onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
            isAtEnd.current = scrollHeight - scrollTop - clientHeight < 40
          }}
        >
          {shown.map(({ key, at, taskId, text, isError }) => (
            <li key={key} class={isError ? "bad" : ""}>
              <time title={at}>{clock(Date.parse(at))}</time>
              {of === "tasks" ? null : (
                <b style={{ "--hue": hue(taskId) }}>
                  {/* A thousand stops of the tab key would be in everybody's way. */}
                  <a href={`#/task/${taskId}`} tabIndex={-1}>
                    {taskOf(taskId)?.Name.split(".").at(-1) ?? "gone"}
                  </a>
                </b>
              )}
              {text}
            </li>
          ))}
        </ol>
      )}
      <Same command={`docker service logs --follow ${name}`} />
    </Card>
  )
}
