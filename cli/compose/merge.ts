/** Several files as one, by the Compose Specification's "Merge": later ones add to what earlier ones say. */
import { type Entry, isNull, type Value } from "#cli/compose/value.ts"

/** Whole values: the later one replaces the earlier. Paths with `*` for any name. */
const replaced = /^services\.[^.]+\.(command|entrypoint|healthcheck\.test)$/

/** Lists that may be written as mappings, `NAME=value`; they merge as such. */
const named =
  /(^|\.)(environment|labels|annotations|extra_hosts|sysctls|driver_opts|args|storage_opt|build\.args)$/
/** Lists of names that may be mappings of settings. */
const keyed = /^services\.[^.]+\.(networks|depends_on)$/
/** Lists in which one entry speaks for one thing. */
const unique: ReadonlyArray<readonly [RegExp, (value: Value) => string]> = [
  [/^services\.[^.]+\.volumes$/, (value) => fieldOf(value, "target", targetOfVolume)],
  [/^services\.[^.]+\.(secrets|configs)$/, (value) => fieldOf(value, "source", (text) => text)],
  [/^services\.[^.]+\.ports$/, (value) => JSON.stringify(shown(value))]
]

export function merge(before: Value, after: Value, path = ""): Value {
  if (after.tag === "override" || isNull(before)) return after
  if (after.tag === "reset") return after
  if (isNull(after)) return before
  if (replaced.test(path)) return after
  const separator = path.endsWith("extra_hosts") ? /[:=]/ : /=/
  const isNamed = named.test(path)
  const one = isNamed || keyed.test(path) ? asMap(before, isNamed ? separator : undefined) : before
  const two = isNamed || keyed.test(path) ? asMap(after, isNamed ? separator : undefined) : after
  if (one.kind === "map" && two.kind === "map") {
    const entries = new Map<string, Entry>(one.entries)
    for (const [key, entry] of two.entries) {
      const known = entries.get(key)
      if (entry.value.tag === "reset") entries.delete(key)
      else if (known === undefined) entries.set(key, entry)
      else {
        const value = merge(known.value, entry.value, path === "" ? key : `${path}.${key}`)
        entries.set(key, { at: entry.at, value })
      }
    }
    return { ...two, entries }
  }
  if (one.kind === "list" && two.kind === "list") {
    const key = unique.find(([pattern]) => pattern.test(path))?.[1]
    if (key === undefined) return { ...two, items: [...one.items, ...two.items] }
    const items = new Map([...one.items, ...two.items].map((item) => [key(item), item]))
    return { ...two, items: [...items.values()] }
  }
  return after
}

/** A list of texts as the mapping that it stands for; anything else as it is. */
export function asMap(value: Value, separator?: RegExp): Value {
  if (value.kind !== "list") return value
  const entries = new Map<string, Entry>()
  for (const item of value.items) {
    if (item.kind !== "scalar") return value
    const cut = separator === undefined ? -1 : item.text.search(separator)
    const key = cut < 0 ? item.text : item.text.slice(0, cut)
    const rest = cut < 0 ? null : item.text.slice(cut + 1)
    entries.set(key, {
      at: item.at,
      value: { kind: "scalar", scalar: rest, text: rest ?? "", at: item.at }
    })
  }
  return { kind: "map", entries, at: value.at }
}

/** `[SOURCE:]TARGET[:MODE]` */
const targetOfVolume = (text: string): string => {
  const parts = text.split(":")
  return parts.length === 1 ? text : (parts[1] ?? text)
}

function fieldOf(value: Value, field: string, ofText: (text: string) => string): string {
  if (value.kind === "scalar") return ofText(value.text)
  const found = value.kind === "map" ? value.entries.get(field)?.value : undefined
  return found?.kind === "scalar" ? found.text : JSON.stringify(shown(value))
}

const shown = (value: Value): unknown =>
  value.kind === "scalar"
    ? value.text
    : value.kind === "list"
      ? value.items.map(shown)
      : [...value.entries].map(([key, entry]) => [key, shown(entry.value)])
