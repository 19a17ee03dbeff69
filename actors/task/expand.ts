/**
 * Placeholders in a container's environment, host name and mounts: `{{.Node.Hostname}}` and friends.
 *
 * The part of Go's text/template that Swarm documents: fields of the context, `index`, `join`, text in quotes,
 * comments and `{{-` `-}}` trimming. Whatever else is written between braces is an error that quotes it.
 * https://docs.docker.com/reference/cli/docker/service/create/#create-services-using-templates
 */
import type { ContainerSpec, MountSpec } from "#actors/model/spec.ts"
import type { Pursue } from "#actors/task/protocol.ts"

type Labels = Readonly<Record<string, string>>

/** What placeholders can name. */
export interface PlaceholderContext {
  readonly Service: { readonly ID: string; readonly Name: string; readonly Labels: Labels }
  readonly Node: {
    readonly ID: string
    readonly Hostname: string
    readonly Platform: { readonly OS: string; readonly Architecture: string }
  }
  readonly Task: { readonly ID: string; readonly Name: string; readonly Slot: string }
}

export type Expanded<Value> = { readonly value: Value } | { readonly problem: string }

/** What can be called by name with one text. */
export type Functions = Readonly<Record<string, (argument: string) => Expanded<string>>>

/** A global task has no slot; its node's id stands there, as in Swarm. */
export const contextOf = ({ assigned, place }: Pursue): PlaceholderContext => ({
  Service: { ID: assigned.serviceId, Name: assigned.serviceName, Labels: assigned.labels ?? {} },
  Node: {
    ID: place.nodeId,
    Hostname: place.hostname,
    Platform: { OS: place.os, Architecture: place.architecture }
  },
  Task: { ID: assigned.id, Name: assigned.name, Slot: String(assigned.slot || place.nodeId) }
})

/** For a look at the placeholders themselves, before there is a task. */
export const anyTask: PlaceholderContext = {
  Service: { ID: "", Name: "", Labels: {} },
  Node: { ID: "", Hostname: "", Platform: { OS: "", Architecture: "" } },
  Task: { ID: "", Name: "", Slot: "" }
}

/** `text` with every placeholder replaced, or what is wrong with the first that cannot be. */
export function expand(
  text: string,
  context: PlaceholderContext,
  functions: Functions = {}
): Expanded<string> {
  if (!text.includes("{{")) return { value: text }
  let value = ""
  let rest = text
  for (;;) {
    const opening = rest.indexOf("{{")
    if (opening < 0) return { value: value + rest }
    const closing = findClosing(rest, opening + 2)
    if (closing < 0) return { problem: `template: unclosed action in ${JSON.stringify(text)}` }
    let inner = rest.slice(opening + 2, closing)
    value += rest.slice(0, opening)
    rest = rest.slice(closing + 2)
    if (/^-\s/.test(inner)) {
      value = value.trimEnd()
      inner = inner.slice(1)
    }
    if (/\s-$/.test(inner)) {
      rest = rest.trimStart()
      inner = inner.slice(0, -1)
    }
    const evaluated = evaluate(inner.trim(), context, functions)
    if ("problem" in evaluated) return evaluated
    value += evaluated.value
  }
}

/** The next `}}` that is not inside quotes. */
function findClosing(text: string, from: number): number {
  let quote = ""
  for (let at = from; at < text.length; at++) {
    const character = text[at] as string
    if (quote !== "") {
      if (character === "\\" && quote === '"') at++
      else if (character === quote) quote = ""
    } else if (character === '"' || character === "`") quote = character
    else if (text.startsWith("}}", at)) return at
  }
  return -1
}

const word = /\s*("(?:[^"\\]|\\.)*"|`[^`]*`|[^\s"`]+)/y

function evaluate(action: string, context: PlaceholderContext, functions: Functions): Expanded<string> {
  if (action.startsWith("/*") && action.endsWith("*/")) return { value: "" }
  const words: string[] = []
  word.lastIndex = 0
  while (word.lastIndex < action.length) {
    const match = word.exec(action)
    if (!match) return unknown(action)
    words.push(match[1] as string)
  }
  const [first, ...others] = words
  if (first === undefined) return { problem: "template: missing value for command" }
  if (first === "index") return index(others, action, context)
  if (first === "join") return join(others, action, context)
  if (Object.hasOwn(functions, first)) {
    const argument = others.length === 1 ? operand(others[0] as string, context) : undefined
    return typeof argument === "string" ? (functions[first] as Functions[string])(argument) : unknown(action)
  }
  // `.Service.Labels "x"` is not Go, but what people write when they mean `index .Service.Labels "x"`.
  if (others.length === 1 && first === ".Service.Labels") return index([first, ...others], action, context)
  if (others.length > 0) return unknown(action)
  const value = operand(first, context)
  return typeof value === "string" ? { value } : unknown(action)
}

function index(words: ReadonlyArray<string>, action: string, context: PlaceholderContext): Expanded<string> {
  const [container, key] = words
  if (container === undefined || key === undefined || words.length !== 2) return unknown(action)
  const labels = operand(container, context)
  const name = operand(key, context)
  if (typeof labels !== "object" || typeof name !== "string") return unknown(action)
  // Go: the zero value for a key that is not there
  return { value: Object.hasOwn(labels, name) ? String((labels as Labels)[name]) : "" }
}

function join(words: ReadonlyArray<string>, action: string, context: PlaceholderContext): Expanded<string> {
  const values = words.map((part) => operand(part, context))
  const [separator, ...parts] = values
  if (separator === undefined || values.some((value) => typeof value !== "string")) return unknown(action)
  return { value: parts.join(String(separator)) }
}

/** A text in quotes or a field of the context; `undefined` when it is neither. */
function operand(text: string, context: PlaceholderContext): string | object | undefined {
  if (text.startsWith("`")) return text.slice(1, -1)
  if (text.startsWith('"')) return unquote(text)
  if (!/^(\.\w+)+$/.test(text)) return undefined
  let value: unknown = context
  for (const field of text.slice(1).split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, field)) return undefined
    value = (value as Record<string, unknown>)[field]
  }
  return value as string | object
}

const escapes: Labels = { n: "\n", t: "\t", r: "\r", '"': '"', "\\": "\\" }
const unquote = (text: string): string =>
  text.slice(1, -1).replace(/\\(.)/g, (whole, character: string) => escapes[character] ?? whole)

const unknown = (action: string): { readonly problem: string } => ({
  problem: `template: cannot evaluate {{${action}}}: expected .Service.{ID,Name,Labels}, .Node.{ID,Hostname,Platform}, .Task.{ID,Name,Slot}, index or join`
})

/** What of a container holds placeholders, each filled in; mounts of cluster volumes are as they were. */
export function expandContainer(
  { Env = [], Hostname = "", Mounts = [] }: ContainerSpec,
  context: PlaceholderContext
): Expanded<{
  readonly env: ReadonlyArray<string>
  readonly hostname: string
  readonly mounts: ReadonlyArray<MountSpec>
}> {
  const env = expandAll(Env, context)
  if ("problem" in env) return { problem: `expanding env failed: ${env.problem}` }
  const hostname = expand(Hostname, context)
  if ("problem" in hostname) return { problem: `expanding hostname failed: ${hostname.problem}` }
  const mounts: Array<MountSpec> = []
  for (const mount of Mounts) {
    const expanded = mount.Type === "cluster" ? { value: mount } : expandMount(mount, context)
    if ("problem" in expanded) return { problem: `expanding mounts failed: ${expanded.problem}` }
    mounts.push(expanded.value)
  }
  return { value: { env: env.value, hostname: hostname.value, mounts } }
}

/** Every text of a list. */
function expandAll(
  texts: ReadonlyArray<string>,
  context: PlaceholderContext
): Expanded<ReadonlyArray<string>> {
  const values: string[] = []
  for (const text of texts) {
    const expanded = expand(text, context)
    if ("problem" in expanded) return expanded
    values.push(expanded.value)
  }
  return { value: values }
}

/** Source, target, and the labels and driver options of a volume. */
export function expandMount(mount: MountSpec, context: PlaceholderContext): Expanded<MountSpec> {
  const paths = expandAll([mount.Source ?? "", mount.Target ?? ""], context)
  if ("problem" in paths) return paths
  const [source, target] = paths.value as [string, string]
  const { VolumeOptions: volume } = mount
  const labels = expandRecord(volume?.Labels, context)
  if ("problem" in labels) return labels
  const options = expandRecord(volume?.DriverConfig?.Options, context)
  if ("problem" in options) return options
  return {
    value: {
      ...mount,
      ...(mount.Source !== undefined && { Source: source }),
      ...(mount.Target !== undefined && { Target: target }),
      ...(volume && {
        VolumeOptions: {
          ...volume,
          ...(labels.value && { Labels: labels.value }),
          ...(volume.DriverConfig && {
            DriverConfig: { ...volume.DriverConfig, ...(options.value && { Options: options.value }) }
          })
        }
      })
    }
  }
}

function expandRecord(record: Labels | undefined, context: PlaceholderContext): Expanded<Labels | undefined> {
  if (record === undefined) return { value: undefined }
  const expanded = expandAll(Object.values(record), context)
  if ("problem" in expanded) return expanded
  return {
    value: Object.fromEntries(Object.keys(record).map((key, at) => [key, expanded.value[at] ?? ""]))
  }
}
