/** A terminal beside a task: a shell, or the command that is typed, in its container. */
import { useEffect, useRef, useState } from "preact/hooks"
import { call } from "../api.ts"
import { openConsole } from "../console.ts"
import { nodeName, nodeOf } from "../live.ts"
import type { Task } from "../objects.ts"
import { splitWords } from "../split-words.ts"
import { Card, Same } from "../ui.tsx"

/** Where it would be; the same words refuse it. */
interface Place {
  readonly nodeId: string
  readonly name: string
}

export function Console({ task, onClose }: { task: Task; onClose: () => void }) {
  const [text, setText] = useState("/bin/sh")
  const [running, setRunning] = useState({ command: ["/bin/sh"] as ReadonlyArray<string>, run: 0 })
  const [place, setPlace] = useState<Place>()
  const [problem, setProblem] = useState<string>()
  const screen = useRef<HTMLDivElement>(null)
  const closing = useRef<HTMLButtonElement>(null)
  useEffect(() => {
    let close = (): void => {}
    let isClosed = false
    const open = async (): Promise<void> => {
      const [{ openTerminal }, found] = await Promise.all([
        import("../terminal.ts"),
        call<Place>("GET", `/dashboard/exec/${task.ID}`)
      ])
      const element = screen.current
      if (isClosed || element === null) return
      setPlace(found)
      setProblem(undefined)
      const terminal = openTerminal(element, {
        onInput: (bytes) => console.type(bytes),
        onResize: (size) => console.resize(size),
        onLeave: () => closing.current?.focus()
      })
      const console = openConsole(task.ID, running.command, terminal.size(), {
        onOutput: terminal.print,
        onEnd: terminal.remark
      })
      close = () => {
        console.close()
        terminal.close()
      }
      // It draws only what is seen.
      element.scrollIntoView({ block: "nearest" })
      terminal.focus()
    }
    open().catch((cause: Error) => setProblem(cause.message))
    return () => {
      isClosed = true
      close()
    }
  }, [task.ID, running])
  const words = splitWords(text)
  return (
    <Card
      title={`Console in ${task.Name}`}
      note={
        <button type="button" class="quiet" ref={closing} onClick={onClose}>
          Close
        </button>
      }
    >
      <form
        class="image"
        onSubmit={(event) => {
          event.preventDefault()
          setRunning(({ run }) => ({ command: words, run: run + 1 }))
        }}
      >
        <label>
          <span>Command</span>
          <input value={text} spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <button type="submit" disabled={words.length === 0}>
          Run
        </button>
        <Same command={`docker exec -it ${place?.name ?? task.Name} ${text}`} />
      </form>
      {problem === undefined ? null : <p class="bad">{problem}</p>}
      <div class="terminal-screen" ref={screen} />
      <small class="faint">
        {place === undefined ? "" : `The command is for the socket of ${nodeName(nodeOf(place.nodeId))}. `}
        Shift and Escape leave the terminal.
      </small>
    </Card>
  )
}
