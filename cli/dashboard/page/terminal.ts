/** A terminal as wide and high as the element that it is in. Fetched when the first one is opened. */
import { FitAddon } from "@xterm/addon-fit"
import { Terminal } from "@xterm/xterm"
import "./by-cssom.ts"

export interface TerminalEvents {
  /** What was typed or pasted. */
  readonly onInput: (bytes: Uint8Array<ArrayBuffer>) => void
  readonly onResize: (size: { readonly columns: number; readonly rows: number }) => void
  /** The way out for the keyboard, which is the terminal's otherwise: shift and escape. */
  readonly onLeave: () => void
}

export interface OpenTerminal {
  readonly size: () => { readonly columns: number; readonly rows: number }
  /** `drawn` is called once it is. */
  readonly print: (bytes: Uint8Array, drawn: () => void) => void
  /** A line that is the page's own. */
  readonly remark: (text: string) => void
  readonly focus: () => void
  readonly close: () => void
}

const encoder = new TextEncoder()

/** The page's own colours, as they are now. */
function colours() {
  const style = getComputedStyle(document.documentElement)
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  return {
    background: of("ground"),
    foreground: of("ink"),
    cursor: of("accent"),
    cursorAccent: of("on-accent"),
    selectionBackground: of("line")
  }
}

export function openTerminal(
  element: HTMLElement,
  { onInput, onResize, onLeave }: TerminalEvents
): OpenTerminal {
  const terminal = new Terminal({
    fontFamily: 'ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace',
    fontSize: 13,
    // Programs choose their colours for a dark ground; ours may be light.
    minimumContrastRatio: 4.5,
    screenReaderMode: true,
    theme: colours()
  })
  const fit = new FitAddon()
  terminal.loadAddon(fit)
  terminal.open(element)
  fit.fit()
  terminal.onData((text) => onInput(encoder.encode(text)))
  // Reports of the mouse are bytes and no text.
  terminal.onBinary((text) => onInput(Uint8Array.from(text, (letter) => letter.charCodeAt(0))))
  terminal.onResize(({ cols: columns, rows }) => onResize({ columns, rows }))
  terminal.attachCustomKeyEventHandler((event) => {
    if (event.key !== "Escape" || !event.shiftKey) return true
    if (event.type === "keydown") onLeave()
    return false
  })
  const sides = new ResizeObserver(() => fit.fit())
  sides.observe(element)
  const theme = new MutationObserver(() => {
    terminal.options.theme = colours()
  })
  theme.observe(document.documentElement, { attributeFilter: ["data-theme"] })
  return {
    size: () => ({ columns: terminal.cols, rows: terminal.rows }),
    print: (bytes, drawn) => terminal.write(bytes, drawn),
    remark: (text) => terminal.write(`\r\n\x1b[2m${text}\x1b[0m\r\n`),
    focus: () => terminal.focus(),
    close: () => {
      sides.disconnect()
      theme.disconnect()
      terminal.dispose()
    }
  }
}
