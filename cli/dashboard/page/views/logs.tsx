/** The end of a service's output, as it comes, and a search in it. */
import { useEffect, useRef, useState } from "preact/hooks"
import { type LogLine, makeLogReader } from "../log-frames.ts"
import { Card, Empty, Same } from "../ui.tsx"

const kept = 1_000
/** After the stream broke off, or could not be had. */
const againMs = 2_000

export function Logs({ id, name }: { id: string; name: string }) {
  const [lines, setLines] = useState<ReadonlyArray<LogLine>>([])
  const [search, setSearch] = useState("")
  const end = useRef<HTMLOListElement>(null)
  useEffect(() => {
    const leaving = new AbortController()
    let waiting: Array<LogLine> = []
    let isAnew = false
    const draw = setInterval(() => {
      if (waiting.length === 0) return
      const [more, starts] = [waiting, isAnew]
      waiting = []
      isAnew = false
      setLines((before) => [...(starts ? [] : before), ...more].slice(-kept))
    }, 200)
    const read = async (): Promise<void> => {
      const query = "stdout=1&stderr=1&follow=1&tail=200&timestamps=1"
      const answer = await fetch(`/services/${id}/logs?${query}`, { signal: leaving.signal })
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`)
      const reader = answer.body?.getReader()
      const take = makeLogReader((line) => void waiting.push(line))
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
  }, [id])
  const wanted = search.toLowerCase()
  const shown = wanted === "" ? lines : lines.filter(({ text }) => text.toLowerCase().includes(wanted))
  useEffect(() => {
    const list = end.current
    if (list !== null && list.scrollHeight - list.scrollTop - list.clientHeight < 200)
      list.scrollTop = list.scrollHeight
  }, [shown.length])
  return (
    <Card
      title="Output"
      note={
        <input
          type="search"
          placeholder="search"
          aria-label="Search in the output"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
      }
    >
      {shown.length === 0 ? (
        <Empty>{lines.length === 0 ? "Nothing was said yet." : "Nothing that fits the search."}</Empty>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
        <ol class="log" ref={end} tabIndex={0} aria-label="Output">
          {shown.map(({ text, isError }, at) => {
            const space = text.indexOf(" ")
            return (
              <li key={at} class={isError ? "bad" : ""}>
                <time>{text.slice(11, 19)}</time>
                {text.slice(space + 1)}
              </li>
            )
          })}
        </ol>
      )}
      <Same command={`docker service logs --follow ${name}`} />
    </Card>
  )
}
