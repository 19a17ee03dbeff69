/** The terminal of a live view: reads keys, draws frames, and leaves the screen as it was, however it ends. */
import process from "node:process"
import { Effect, type Exit } from "effect"
import type { Key, Size } from "#cli/print/tree-view.ts"

/** Alternate screen without a cursor, and back. https://invisible-island.net/xterm/ctlseqs/ctlseqs.html */
const enter = "\u001b[?1049h\u001b[?25l"
const leave = "\u001b[?25h\u001b[?1049l"
/** Between these a terminal that knows them shows nothing half drawn; others ignore them. */
const beginFrame = "\u001b[?2026h\u001b[H"
const endFrame = "\u001b[J\u001b[?2026l"

const keys: Readonly<Record<string, Key>> = {
  "\u001b[A": "up",
  "\u001bOA": "up",
  "\u001b[B": "down",
  "\u001bOB": "down",
  "\u001b[C": "right",
  "\u001bOC": "right",
  "\u001b[D": "left",
  "\u001bOD": "left",
  "\u001b[5~": "page-up",
  "\u001b[6~": "page-down",
  "\u001b": "escape",
  "\r": "enter",
  "\n": "enter",
  "\u007f": "backspace",
  "\b": "backspace",
  "\u0003": "ctrl-c"
}

/** One chunk of input may hold several keys. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is how terminals send keys
const keyPattern = /\u001b(?:[[O][0-9;]*[A-Za-z~])?|[^\u001b]/gu
const keysIn = (text: string): ReadonlyArray<Key> =>
  (text.match(keyPattern) ?? []).map((key) => keys[key] ?? key)

export const sizeOfTerminal = (): Size => ({
  columns: process.stdout.columns || 80,
  rows: process.stdout.rows || 24
})

/** Takes the terminal until the scope closes. */
export const takeTerminal = (onKey: (key: Key) => void, onResize: () => void) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { stdin, stdout } = process
      const onInput = (chunk: Uint8Array | string): void => {
        for (const key of keysIn(String(chunk))) onKey(key)
      }
      stdin.setRawMode(true)
      stdin.setEncoding("utf8")
      stdin.on("data", onInput)
      stdin.resume()
      stdout.on("resize", onResize)
      stdout.write(enter)
      return () => {
        stdout.off("resize", onResize)
        stdin.off("data", onInput)
        stdin.pause()
        stdin.setRawMode(false)
        stdout.write(leave)
      }
    }),
    (restore, _exit: Exit.Exit<unknown, unknown>) => Effect.sync(restore)
  )

/** One write a frame; every line clears what was right of it, so that nothing is blank in between. */
export function drawFrame(lines: ReadonlyArray<string>): void {
  process.stdout.write(`${beginFrame}${lines.map((line) => `${line}\u001b[K`).join("\r\n")}${endFrame}`)
}
