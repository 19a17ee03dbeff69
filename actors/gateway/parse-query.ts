/** Query parameters as the Engine reads them. */
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

/** Go's `httputils.BoolValue`: `force=1` and anything else but an empty or negative word. */
export const isOn = (query: URLSearchParams, name: string): boolean =>
  !["", "0", "no", "false", "none"].includes((query.get(name) ?? "").trim().toLowerCase())

/** `1795381378` or `1795381378.083850297`, seconds since the epoch; none when it is not there. */
export function parseSeconds(
  query: URLSearchParams,
  name: "since" | "until"
): { readonly seconds?: number } | Refusal {
  const text = query.get(name) ?? ""
  if (text === "") return {}
  if (/^\d{1,12}(\.\d{1,9})?$/.test(text)) return { seconds: Number(text) }
  return refuse(
    "invalidArgument",
    `invalid value for "${name}": ${JSON.stringify(text)}: expected seconds since the epoch, such as 1795381378.083850297`
  )
}

/** `version=`, which every update must name. */
export function parseVersionIndex(
  query: URLSearchParams,
  kind: "service" | "node" | "swarm" | "secret" | "config" | "volume"
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
