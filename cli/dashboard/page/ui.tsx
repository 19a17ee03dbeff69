/** Small pieces that all pages are made of. */
import { type ComponentChildren, Fragment } from "preact"
import { useState } from "preact/hooks"
import { act, mayOperate, tell } from "./api.ts"
import type { Count } from "./judge.ts"
import type { Task } from "./objects.ts"

/** Where a task's state stands among the few that the eye tells apart. */
export function tone({ State, Desired }: Pick<Task, "State" | "Desired">): string {
  // A job's is to run until it is complete.
  if (State === "running") return Desired === "running" || Desired === "complete" ? "good" : "leaving"
  if (State === "failed" || State === "rejected" || State === "orphaned") return "bad"
  if (State === "complete") return "done"
  if (State === "shutdown" || State === "remove") return "past"
  return "waiting"
}

/** The same hue for the same name, wherever it is drawn. */
export function hue(text: string): number {
  let hash = 7
  for (const letter of text) hash = (hash * 31 + letter.charCodeAt(0)) % 360
  return hash
}

export const ago = (iso: string): string => {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(iso)) / 1000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

export const Badge = ({ tone: of, children }: { tone: string; children: ComponentChildren }) => (
  <span class={`badge ${of}`}>
    <i aria-hidden="true" />
    {children}
  </span>
)

export const Search = (props: {
  label: string
  placeholder: string
  text: string
  onText: (text: string) => void
}) => (
  <input
    type="search"
    placeholder={props.placeholder}
    aria-label={props.label}
    value={props.text}
    onInput={(event) => props.onText(event.currentTarget.value)}
  />
)

export const Card = (props: { title?: string; note?: ComponentChildren; children: ComponentChildren }) => (
  <section class="card">
    {props.title === undefined ? null : (
      <header>
        <h2>{props.title}</h2>
        {props.note}
      </header>
    )}
    {props.children}
  </section>
)

export const Meter = ({ value, of, label }: { value: number; of: number; label: string }) => (
  <div
    class={`meter ${value >= of && of > 0 ? "full" : ""}`}
    role="progressbar"
    aria-label={label}
    aria-valuemin={0}
    aria-valuemax={of}
    aria-valuenow={value}
  >
    <b style={{ width: `${of === 0 ? 0 : Math.min(100, (100 * value) / of)}%` }} />
  </div>
)

/** How far a service has come. */
export const Reached = ({ reached, wanted, word }: Count) => (
  <span class="count">
    {reached}
    <small>
      /{wanted}
      {word === "done" ? " done" : ""}
    </small>
  </span>
)

/** What is known, a line each; what is empty is left out. */
export const Pairs = ({ of }: { of: ReadonlyArray<readonly [name: string, value: ComponentChildren]> }) => (
  <dl class="pairs left">
    {of
      .filter(([, value]) => value !== "")
      .map(([name, value]) => (
        <Fragment key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </Fragment>
      ))}
  </dl>
)

/** Rows below the names of their columns; it scrolls where there is no room for it. */
export const Table = (props: {
  readonly label: string
  readonly columns: ReadonlyArray<string>
  readonly children: ComponentChildren
}) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
  <section class="scroll" tabIndex={0} aria-label={props.label}>
    <table>
      <thead>
        <tr>
          {props.columns.map((column) => (
            <th key={column} scope="col">
              {column}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>{props.children}</tbody>
    </table>
  </section>
)

/** Moments, a line each; it scrolls where there is no room for it. */
export const Moments = (props: {
  readonly label: string
  readonly kind?: string
  readonly children: ComponentChildren
}) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
  <ol class={`timeline ${props.kind ?? ""}`} tabIndex={0} aria-label={props.label}>
    {props.children}
  </ol>
)

export const Empty = ({ children }: { children: ComponentChildren }) => <p class="empty">{children}</p>

/** In the place of what was removed, or never was. */
export const Gone = ({
  what,
  home,
  id
}: {
  what: string
  home: readonly [go: string, name: string]
  id: string
}) => (
  <>
    <p class="trail">
      <a href={home[0]}>{home[1]}</a>
    </p>
    <h1>No such {what}</h1>
    <Empty>
      The {what} <code>{id}</code> is no more, or never was.
    </Empty>
  </>
)

/** What a form does when it is sent, rather than what a browser would do with it. */
export const sent =
  (send: () => void) =>
  (event: Event): void => {
    event.preventDefault()
    send()
  }

/** A button that changes something, with the command that does the same. */
export function Order(props: {
  readonly label: string
  readonly command: string
  readonly did: string
  readonly kind?: "plain" | "danger"
  readonly may?: boolean
  readonly disabled?: boolean
  /** Asked before. */
  readonly sure?: string
  readonly onAct: () => Promise<unknown>
}) {
  const may = props.may ?? mayOperate()
  const [isBusy, setBusy] = useState(false)
  const press = async (): Promise<void> => {
    if (props.sure !== undefined && !confirm(props.sure)) return tell("nothing was changed")
    setBusy(true)
    await act(props.did, props.onAct)
    setBusy(false)
  }
  return (
    <div class="order">
      <button
        type="button"
        class={props.kind ?? "plain"}
        disabled={!may || isBusy || props.disabled === true}
        title={may ? props.command : "your role may only look"}
        onClick={() => void press()}
      >
        {props.label}
      </button>
      <Same command={props.command} />
    </div>
  )
}

export const Same = ({ command }: { command: string }) => (
  <code class="same" title="does the same">
    {command}
  </code>
)
