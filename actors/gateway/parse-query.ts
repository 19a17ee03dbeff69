/** Query parameters as Go's `strconv` reads them. */
import { type Refusal, refuse } from "#actors/model/errors.ts"

const yes = ["1", "t", "T", "TRUE", "true", "True"]
const no = ["0", "f", "F", "FALSE", "false", "False"]

/** A switch, `false` when it is not there. */
export function parseSwitch(query: URLSearchParams, name: string): { readonly on: boolean } | Refusal {
  const text = query.get(name) ?? ""
  if (text === "") return { on: false }
  if (yes.includes(text)) return { on: true }
  return no.includes(text) ? { on: false } : refuse("invalidArgument", `invalid value for ${name}: ${text}`)
}

/** `force=1`: anything but an empty or negative word. */
export const isForced = (query: URLSearchParams): boolean =>
  !["", "0", "no", "false", "none"].includes((query.get("force") ?? "").trim().toLowerCase())

/** `version=`, which every update must name. */
export function parseVersionIndex(
  query: URLSearchParams,
  kind: "service" | "node" | "swarm" | "secret" | "config"
): { readonly version: number } | Refusal {
  const text = query.get("version") ?? ""
  if (/^\d{1,15}$/.test(text)) return { version: Number(text) }
  if (kind === "secret" || kind === "config") {
    return refuse("invalidArgument", `invalid ${kind} version`)
  }
  const why = /^\d+$/.test(text) ? "value out of range" : "invalid syntax"
  return refuse(
    "invalidArgument",
    `invalid ${kind} version '${text}': strconv.ParseUint: parsing ${JSON.stringify(text)}: ${why}`
  )
}
