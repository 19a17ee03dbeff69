/**
 * What a page and its gateway say on a console's WebSocket. Binary messages are the terminal's own bytes, as typed and as
 * printed; text is JSON, and as follows.
 *
 * Both sides say how many bytes they have taken, and neither sends further ahead of that than is agreed here: a program that
 * prints faster than a page draws waits, as it would for any terminal.
 */
import { Option, Schema } from "effect"
import type { ConsoleRequest } from "#actors/drivers/executor.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"
import { quoted } from "#actors/model/shell-word.ts"

export const consoleProtocol = "troupe.console"

/** In bytes: what is printed, and what is typed or pasted. */
export const mostAhead = { printed: 256 * 1024, typed: 64 * 1024 } as const

const count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const side = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000 }))

export const PageWords = Schema.Union([
  Schema.Struct({ taken: count }),
  Schema.Struct({ columns: side, rows: side })
])
export type PageWords = typeof PageWords.Type

/** The last thing that the gateway says is that the command has ended, or why there is no console any more. */
export type GatewayWords =
  | { readonly taken: number }
  | { readonly ended: { readonly exitCode?: number } }
  | { readonly problem: string }

const decode = Schema.decodeUnknownOption(PageWords)

/** `undefined` where it is none of them. */
export function readPageWords(text: string): PageWords | undefined {
  try {
    return Option.getOrUndefined(decode(JSON.parse(text)))
  } catch {
    return undefined
  }
}

const usual = { command: ["/bin/sh"], columns: 80, rows: 24 } as const
/** Of all words together, in characters. */
const longestCommand = 4_096

/** What `?command=ls&command=-l&columns=80&rows=24` asks for; refuses what is none, by its field. */
export function readConsoleQuery(query: URLSearchParams): ConsoleRequest | Refusal {
  const words = query.getAll("command")
  const command = words.length === 0 ? usual.command : words
  if (command[0] === "") return refuse("invalidArgument", `command "": expected a program and its arguments`)
  const length = command.join(" ").length
  if (length > longestCommand)
    return refuse("invalidArgument", `command: expected ${longestCommand} characters at most, got ${length}`)
  const sides = { columns: usual.columns as number, rows: usual.rows as number }
  for (const name of ["columns", "rows"] as const) {
    const text = query.get(name)
    if (text === null) continue
    sides[name] = /^\d{1,4}$/.test(text) ? Number(text) : 0
    if (sides[name] < 1 || sides[name] > 1_000)
      return refuse("invalidArgument", `${name} ${JSON.stringify(text)}: expected 1 to 1000`)
  }
  return { command, size: sides }
}

/** As people would type it. */
export const asTyped = (command: ReadonlyArray<string>): string => command.map(quoted).join(" ")
