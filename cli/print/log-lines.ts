/** Lines of tasks' logs: which are looked for, and how they are shown. */
import { Buffer } from "node:buffer"

/** One line of one task. */
export interface ShownLine {
  readonly service: string
  readonly task: string
  /** `web.1.4i7n5x6wlpdd` */
  readonly name: string
  readonly node: string
  readonly stream: "stdout" | "stderr"
  readonly time: string
  /** Without its newline. */
  readonly text: string
}

export interface LogSearch {
  /** Part of the line. */
  readonly grep?: string
  readonly regex?: RegExp
  /** Of lines that are JSON objects: a field, by its path with dots, and its value as text; all must hold. */
  readonly fields: ReadonlyArray<readonly [path: string, value: string]>
  /** The beginning of a task's id, or its name. */
  readonly task?: string
  /** A node's name, or the beginning of its id. */
  readonly node?: string
}

export function matches(line: ShownLine, nodeId: string, search: LogSearch): boolean {
  const { grep, regex, fields, task, node } = search
  if (task !== undefined && !isTask(task, line.task, line.name)) return false
  if (node !== undefined && !isNode(node, nodeId, line.node)) return false
  if (grep !== undefined && !line.text.includes(grep)) return false
  if (regex !== undefined && !regex.test(line.text)) return false
  if (fields.length === 0) return true
  const object = parseObject(line.text)
  return object !== undefined && fields.every(([path, value]) => fieldOf(object, path) === value)
}

/** By the beginning of its id, or of its name; a slot is meant whole: `web.1` is not `web.10`. */
export function isTask(word: string, id: string, name: string): boolean {
  const whole = `${name.slice(0, name.lastIndexOf(".") + 1)}${id}`
  if (id.startsWith(word)) return true
  const rest = whole.slice(word.length)
  return whole.startsWith(word) && (rest.startsWith(".") || !rest.includes("."))
}

/** By its name or the beginning of its id. */
export const isNode = (word: string, id: string, name: string): boolean =>
  name === word || id.startsWith(word)

function parseObject(text: string): object | undefined {
  if (!text.trimStart().startsWith("{")) return undefined
  try {
    return JSON.parse(text) as object
  } catch {
    return undefined
  }
}

/** A name with dots in it counts as well as a path. */
function fieldOf(object: object, path: string): string | undefined {
  let value: unknown = (object as Record<string, unknown>)[path]
  if (value === undefined) {
    value = object
    for (const name of path.split(".")) {
      if (typeof value !== "object" || value === null) return undefined
      value = (value as Record<string, unknown>)[name]
    }
  }
  if (value === undefined) return undefined
  return typeof value === "string" ? value : JSON.stringify(value)
}

const colours = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94]

/** `name@node | text`, each task in a colour of its own. */
export class LinePrinter {
  readonly #isColoured: boolean
  readonly #colourOf = new Map<string, number>()
  #width = 0

  constructor(isColoured: boolean) {
    this.#isColoured = isColoured
  }

  print({ name, node, task, time, text, stream }: ShownLine, withTime: boolean): string {
    const head = `${name}@${node}`
    this.#width = Math.max(this.#width, head.length)
    const said = `${withTime ? `${time} ` : ""}${head.padEnd(this.#width)} |`
    if (!this.#isColoured) return `${said} ${text}`
    const colour = this.#colourOf.get(task) ?? colours[this.#colourOf.size % colours.length] ?? 0
    this.#colourOf.set(task, colour)
    return `\x1b[${colour}m${said}\x1b[0m ${stream === "stderr" ? `\x1b[31m${text}\x1b[0m` : text}`
  }
}

type Message = readonly [stream: "stdout" | "stderr" | "system", text: string, isOpen?: true]

/**
 * A log as the API sends it, cut into its messages, each a line or an open part of one that goes on; `system` is not a line
 * but why some are missing.
 */
export class LogFrames {
  readonly #framed: boolean
  #rest = Buffer.alloc(0)

  constructor(framed: boolean) {
    this.#framed = framed
  }

  push(chunk: Buffer): ReadonlyArray<Message> {
    const bytes = Buffer.concat([this.#rest, chunk])
    const found: Array<Message> = []
    let at = 0
    for (;;) {
      const end = this.#framed ? frameEnd(bytes, at) : bytes.indexOf(0x0a, at) + 1
      if (end <= at || end > bytes.length) break
      const begin = this.#framed ? at + 8 : at
      const stream = this.#framed ? (streams[bytes[at] ?? 1] ?? "stdout") : "stdout"
      const text = bytes.toString("utf8", begin, end)
      const isOpen = stream !== "system" && !text.endsWith("\n")
      found.push(isOpen ? [stream, text, isOpen] : [stream, text.replace(/\r?\n$/, "")])
      at = end
    }
    this.#rest = bytes.subarray(at)
    return found
  }
}

/** What the Engine cuts lines into: its `logger.Copier`'s buffer. */
const pieceBytes = 16 * 1024
/** What goes on for longer is shown in parts. */
const mostBytes = 1024 * 1024

/** Long lines out of the pieces that the Engine cuts them into. */
export class WholeLines<Line extends Pick<ShownLine, "task" | "stream" | "text">> {
  readonly #begun = new Map<string, Line>()

  /** The line that is whole with this piece, if one is. The last line of all may have no end, but is no whole piece. */
  take(piece: Line, isOpen: boolean): Line | undefined {
    const key = `${piece.task} ${piece.stream}`
    const begun = this.#begun.get(key)
    const line = begun === undefined ? piece : { ...begun, text: begun.text + piece.text }
    const goesOn = isOpen && Buffer.byteLength(piece.text) >= pieceBytes && line.text.length < mostBytes
    if (goesOn) this.#begun.set(key, line)
    else this.#begun.delete(key)
    return goesOn ? undefined : line
  }

  /** Those whose rest will not come. */
  end(): ReadonlyArray<Line> {
    const left = [...this.#begun.values()]
    this.#begun.clear()
    return left
  }
}

// Engine API, "Stream format".
const streams = ["stdout", "stdout", "stderr", "system"] as const
const frameEnd = (bytes: Buffer, at: number): number =>
  bytes.length - at < 8 ? 0 : at + 8 + bytes.readUInt32BE(at + 4)

/** The time, node and task before a line that was asked for with both; `undefined` when it has none. */
export function parseContext(
  text: string
):
  | { readonly time: string; readonly node: string; readonly task: string; readonly text: string }
  | undefined {
  const [, time = "", details = "", line = ""] = /^(\S+) (\S+) ([\s\S]*)$/.exec(text) ?? []
  const of = (key: string) =>
    new RegExp(`(?:^|,)com\\.docker\\.swarm\\.${key}\\.id=([^,]*)`).exec(details)?.[1]
  const node = of("node")
  const task = of("task")
  return node === undefined || task === undefined ? undefined : { time, node, task, text: line }
}
