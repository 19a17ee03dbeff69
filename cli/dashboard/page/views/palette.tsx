/** Everything by name, from the keyboard: ctrl or cmd with K, or a slash. */
import { signal } from "@preact/signals"
import { useEffect, useRef, useState } from "preact/hooks"
import { isWanted } from "../judge.ts"
import { nodeName, nodes, services, tasks } from "../live.ts"
import { Empty } from "../ui.tsx"

export const isPaletteOpen = signal(false)

interface Entry {
  readonly name: string
  readonly kind: string
  readonly go: string
}

/** What stands above every page. */
export const bar = [
  { name: "Cluster", go: "#/" },
  { name: "Nodes", go: "#/nodes" },
  { name: "Stacks", go: "#/stacks" },
  { name: "Resources", go: "#/networks" },
  { name: "Timeline", go: "#/timeline" },
  { name: "Supervision", go: "#/tree" }
]

export const places = [
  ...bar.filter(({ name }) => name !== "Resources"),
  { name: "Networks", go: "#/networks" },
  { name: "Volumes", go: "#/volumes" },
  { name: "Secrets", go: "#/secrets" },
  { name: "Configs", go: "#/configs" },
  { name: "Create a service", go: "#/create" }
]

const entries = (): ReadonlyArray<Entry> => [
  ...places.map((place) => ({ ...place, kind: "page" })),
  ...services.value.map(({ ID, Spec }) => ({ name: Spec.Name, kind: "service", go: `#/service/${ID}` })),
  ...nodes.value.map((node) => ({ name: nodeName(node), kind: "node", go: `#/node/${node.ID}` })),
  ...tasks.value.filter(isWanted).map(({ ID, Name }) => ({ name: Name, kind: "task", go: `#/task/${ID}` }))
]

export function Palette() {
  const dialog = useRef<HTMLDialogElement>(null)
  const [text, setText] = useState("")
  const [at, setAt] = useState(0)
  const isOpen = isPaletteOpen.value
  useEffect(() => {
    if (isOpen) dialog.current?.showModal()
    else dialog.current?.close()
    setText("")
    setAt(0)
  }, [isOpen])
  const close = (): void => {
    isPaletteOpen.value = false
  }
  const fitting = isOpen
    ? entries().filter(({ name }) => name.toLowerCase().includes(text.trim().toLowerCase()))
    : []
  const found = fitting.slice(0, 9)
  const go = (entry: Entry | undefined): void => {
    if (entry === undefined) return
    location.hash = entry.go
    close()
  }
  const press = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0
    if (step !== 0) {
      event.preventDefault()
      setAt((at + step + found.length) % Math.max(1, found.length))
    }
    if (event.key === "Enter") go(found[at])
  }
  return (
    <dialog ref={dialog} class="palette" aria-label="Go to" onClose={close}>
      <input
        type="text"
        role="combobox"
        aria-label="Go to"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={found.length > 0 ? `palette-${at}` : undefined}
        placeholder="Go to a service, a node, a page"
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value)
          setAt(0)
        }}
        onKeyDown={press}
      />
      <div id="palette-list" role="listbox" aria-label="Found">
        {found.map((entry, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the field above has the keys
          // biome-ignore lint/a11y/useFocusableInteractive: the field above keeps the focus
          <div
            key={entry.go}
            id={`palette-${index}`}
            role="option"
            aria-selected={index === at}
            onClick={() => go(entry)}
          >
            {entry.name}
            <small>{entry.kind}</small>
          </div>
        ))}
      </div>
      {isOpen && found.length === 0 ? <Empty>Nothing is called that.</Empty> : null}
      {fitting.length > found.length ? <Empty>{fitting.length - found.length} more</Empty> : null}
    </dialog>
  )
}
