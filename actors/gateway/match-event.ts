/** Whether an event passes `?filters=`, by the Engine's own rules (daemon/events/filter.go). */
import type { EngineEvent } from "#actors/gateway/events.ts"
import { type Filters, hasLabels } from "#actors/gateway/parse-filters.ts"

/** Filters whose value is an id, the beginning of one, or a name. */
const subjects = [
  "daemon",
  "container",
  "plugin",
  "volume",
  "network",
  "node",
  "service",
  "secret",
  "config"
] as const

/** True when the event passes every filter. A filter on a container leaves no service, as in the Engine. */
export function matchEvent(event: EngineEvent, filters: Filters): boolean {
  const { ID: id, Attributes: attributes } = event.Actor
  const name = attributes.name ?? ""
  return (
    isExactly(filters, "event", event.Action) &&
    isExactly(filters, "type", event.Type) &&
    isExactly(filters, "scope", event.scope) &&
    subjects.every((subject) => begins(filters, subject, id) || begins(filters, subject, name)) &&
    (isExactly(filters, "image", id) || isExactly(filters, "image", attributes.image ?? "")) &&
    hasLabels(filters, "label", attributes)
  )
}

function isExactly(filters: Filters, key: string, text: string): boolean {
  const values = filters.get(key)
  return values === undefined || values.size === 0 || values.has(text)
}

function begins(filters: Filters, key: string, text: string): boolean {
  const values = filters.get(key)
  if (values === undefined || values.size === 0) return true
  for (const value of values) if (text.startsWith(value)) return true
  return false
}
