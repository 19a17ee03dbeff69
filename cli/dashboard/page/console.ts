/** A command in a task's container, over a WebSocket. */
import type { ConsoleSize } from "#actors/drivers/executor.ts"
import type { GatewayWords } from "#actors/gateway/dashboard/console-words.ts"
import { session } from "./api.ts"

export interface ConsoleEvents {
  /** `taken` is to be called once the bytes are drawn: no more than so much comes before. */
  readonly onOutput: (bytes: Uint8Array, taken: () => void) => void
  /** In words, for people. */
  readonly onEnd: (how: string) => void
}

export interface OpenConsole {
  readonly type: (bytes: Uint8Array<ArrayBuffer>) => void
  readonly resize: (size: ConsoleSize) => void
  readonly close: () => void
}

/** What the gateway takes at most, in bytes; a pasted page comes in parts. */
const mostAhead = 64 * 1024
const part = 16 * 1024

export function openConsole(
  taskId: string,
  command: ReadonlyArray<string>,
  { columns, rows }: ConsoleSize,
  { onOutput, onEnd }: ConsoleEvents
): OpenConsole {
  const query = new URLSearchParams({ columns: String(columns), rows: String(rows) })
  for (const word of command) query.append("command", word)
  const url = new URL(`/dashboard/exec/${taskId}?${query}`, location.href)
  url.protocol = url.protocol.replace("http", "ws")
  const socket = new WebSocket(url, ["troupe.console", `troupe-csrf.${session.value?.csrf ?? ""}`])
  socket.binaryType = "arraybuffer"
  const waiting: Array<Uint8Array<ArrayBuffer>> = []
  let ahead = 0
  let end = "the connection was lost"

  const say = (words: object): void => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(words))
  }
  const send = (): void => {
    if (socket.readyState !== WebSocket.OPEN) return
    for (let next = waiting[0]; next !== undefined && ahead + next.length <= mostAhead; next = waiting[0]) {
      socket.send(next)
      ahead += next.length
      waiting.shift()
    }
  }
  socket.onopen = send
  socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
    if (typeof data !== "string") {
      onOutput(new Uint8Array(data), () => say({ taken: data.byteLength }))
      return
    }
    const words = JSON.parse(data) as GatewayWords
    if ("problem" in words) end = words.problem
    else if ("ended" in words) end = `ended with ${words.ended.exitCode ?? "no exit code that is known"}`
    else {
      ahead -= words.taken
      send()
    }
  }
  socket.onclose = () => onEnd(end)
  return {
    type: (bytes) => {
      for (let at = 0; at < bytes.length; at += part) waiting.push(bytes.slice(at, at + part))
      send()
    },
    resize: say,
    close: () => {
      socket.onclose = null
      socket.close()
    }
  }
}
