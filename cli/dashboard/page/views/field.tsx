/** A field of a form, with what the gateway said of it beside it. */
import { useEffect, useRef } from "preact/hooks"
import type { Said } from "../said.ts"

export const Problem = ({ said, id }: { said: string | undefined; id?: string }) =>
  said === undefined ? null : (
    <span class="error" id={id} role="alert">
      {said}
    </span>
  )

export function Field<
  Name extends string,
  Draft extends { readonly [Key in Name]: string | boolean }
>(props: {
  readonly draft: Draft
  readonly change: (more: Partial<Draft>) => void
  readonly said: Said<Name>
  readonly disabled: boolean
  readonly name: Name
  readonly label: string
  readonly placeholder?: string
  /** Of a text of several lines. */
  readonly rows?: number
  /** Takes a whole line of the form, or half of one, where it is of several lines. */
  readonly wide?: boolean
  readonly half?: boolean
  readonly options?: ReadonlyArray<readonly [value: string, label: string]>
}) {
  const { draft, change, said, disabled, name, label, placeholder, rows, options, half = false } = props
  const { wide = rows !== undefined && !half } = props
  const value = draft[name]
  const wrong = said[name]
  const id = `wrong-${name}`
  const place = useRef<HTMLDivElement>(null)
  // Whoever has sent it is at its end by then.
  useEffect(() => {
    if (wrong !== undefined) place.current?.querySelector<HTMLElement>("[aria-invalid]")?.focus()
  }, [wrong])
  const set = (next: string | boolean): void => change({ [name]: next } as unknown as Partial<Draft>)
  const common = {
    disabled,
    "aria-invalid": wrong !== undefined,
    ...(wrong !== undefined && { "aria-describedby": id })
  }
  const problem = <Problem said={wrong} id={id} />
  if (typeof value === "boolean")
    return (
      <div class="field" ref={place}>
        <label class="tick">
          <input
            type="checkbox"
            checked={value}
            onChange={(event) => set(event.currentTarget.checked)}
            {...common}
          />
          {label}
        </label>
        {problem}
      </div>
    )
  const text = {
    value: value as string,
    spellcheck: false,
    ...(placeholder !== undefined && { placeholder }),
    ...common
  }
  return (
    <div ref={place} class={`field${wide ? " wide" : ""}${half ? " half" : ""}`}>
      {/* biome-ignore lint/a11y/noLabelWithoutControl: one of three is in it */}
      <label>
        <span>{label}</span>
        {options !== undefined ? (
          <select value={value} onChange={(event) => set(event.currentTarget.value)} {...common}>
            {options.map(([option, said]) => (
              <option key={option} value={option}>
                {said}
              </option>
            ))}
          </select>
        ) : rows === undefined ? (
          <input onInput={(event) => set(event.currentTarget.value)} {...text} />
        ) : (
          <textarea rows={rows} onInput={(event) => set(event.currentTarget.value)} {...text} />
        )}
      </label>
      {problem}
    </div>
  )
}
