/** A form that is sent: how far that is, what was said of it, and what stands at its end. */
import type { ComponentChildren } from "preact"
import { useState } from "preact/hooks"
import type { Said } from "../said.ts"
import { Same } from "../ui.tsx"

/** `toSaid` makes of what was thrown what is said of which field. */
export function useSending<Name extends string>(toSaid: (cause: Error) => Said<Name>) {
  const [said, setSaid] = useState<Said<Name>>({})
  const [isBusy, setBusy] = useState(false)
  const send = async (doing: () => Promise<void>): Promise<void> => {
    setBusy(true)
    setSaid({})
    try {
      await doing()
    } catch (cause) {
      setSaid(toSaid(cause as Error))
    }
    setBusy(false)
  }
  return { said, isBusy, send }
}

/** What was said of the whole. */
export const Refused = ({ said }: { said: Said<string> }) =>
  said[""] === undefined ? null : (
    <p class="error wide" role="alert">
      {said[""]}
    </p>
  )

export const Foot = (props: {
  readonly said: Said<string>
  readonly label: string
  /** What it comes to, for who may. */
  readonly title: string
  readonly may: boolean
  readonly isReady: boolean
  readonly command: string
  readonly children?: ComponentChildren
}) => (
  <>
    <Refused said={props.said} />
    <div class="order wide">
      <button
        type="submit"
        class="primary"
        disabled={!props.may || !props.isReady}
        title={props.may ? props.title : "your role may only look"}
      >
        {props.label}
      </button>
      {props.children}
      <Same command={props.command} />
    </div>
  </>
)
