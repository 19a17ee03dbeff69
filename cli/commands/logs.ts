/** `troupe logs`: what tasks of several services write and wrote, searched and in order of time. */
import process from "node:process"
import { type Cause, Effect, Fiber, Option, Queue, Schema, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { parseMoment } from "#actors/gateway/parse-until.ts"
import type { HistoryRecord } from "#actors/history/describe.ts"
import { get, socketFlag } from "#cli/client.ts"
import { type RawLine, streamLogs } from "#cli/log-stream.ts"
import { isNode, isTask, LinePrinter, type LogSearch, matches, type ShownLine } from "#cli/print/log-lines.ts"

export class LogsError extends Schema.TaggedError<LogsError>()("LogsError", { message: Schema.String }) {}

const wanted = (name: string, what: string) =>
  Flag.String(name).pipe(Flag.withDescription(what), Flag.optional)
const onOff = (name: string, what: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(what), Flag.withDefault(false))

const flags = {
  socket: socketFlag,
  services: Argument.String("service").pipe(
    Argument.withDescription("names or ids"),
    Argument.variadic({ min: 1 })
  ),
  since: wanted("since", "from then on: 10m, 1h30m, seconds since the epoch or a date"),
  until: wanted("until", "up to then"),
  tail: Flag.Int("tail").pipe(
    Flag.withDescription("so many lines from the end of each task's log, before the search"),
    Flag.optional
  ),
  follow: onOff("follow", "go on as lines come; taken up again when the connection is lost").pipe(
    Flag.withAlias("f")
  ),
  timestamps: onOff("timestamps", "show when each line was written").pipe(Flag.withAlias("t")),
  grep: wanted("grep", "lines that have this text"),
  regex: wanted("regex", "lines that match this regular expression"),
  field: Flag.String("field").pipe(
    Flag.withDescription("lines of JSON with this field, NAME=VALUE or A.B=VALUE; all of several must hold"),
    Flag.between(0, 32)
  ),
  task: wanted("task", "one task, by its name or the beginning of its id"),
  node: wanted("node", "tasks of one node, by its name or the beginning of its id"),
  noColor: onOff("no-color", "no colours, also in a terminal [NO_COLOR]"),
  json: onOff("json", "one JSON object a line: time, service, task, name, node, stream, text")
}

interface NodeJson {
  readonly ID: string
  readonly Description?: { readonly Hostname?: string }
}
interface TaskJson {
  readonly ID: string
  readonly ServiceID: string
  readonly NodeID?: string
  readonly Slot?: number
}
interface ServiceJson {
  readonly ID: string
  readonly Spec: { readonly Name: string }
}

const given = Option.getOrUndefined

/** What `--node` and `--task` mean nothing of among what the cluster knows; nobody is asked for what was not said. */
const strangers = Effect.fnUntraced(function* (
  socket: string,
  services: ReadonlyArray<ServiceJson>,
  nodes: ReadonlyMap<string, string>,
  formerNodes: Effect.Effect<ReadonlyMap<string, string>>,
  { node, task }: LogSearch
) {
  const found = new Set<"node" | "task">()
  const isAmong = (known: ReadonlyMap<string, string>): boolean =>
    node === undefined || [...known].some(([id, name]) => isNode(node, id, name))
  if (!isAmong(nodes) && !isAmong(yield* formerNodes)) found.add("node")
  if (task !== undefined) found.add("task")
  if (found.size === 0) return found
  const names = new Map(services.map(({ ID, Spec }) => [ID, Spec.Name]))
  const filters = encodeURIComponent(JSON.stringify({ service: [...names.keys()] }))
  for (const { ID, ServiceID, NodeID = "", Slot } of yield* get<ReadonlyArray<TaskJson>>(
    socket,
    `/tasks?filters=${filters}`
  )) {
    // Of a node that is gone, too.
    if (node !== undefined && NodeID.startsWith(node)) found.delete("node")
    const name = taskName(names.get(ServiceID) ?? "", Slot ?? NodeID, ID)
    if (task !== undefined && isTask(task, ID, name)) found.delete("task")
  }
  return found
})

const taskName = (service: string, slot: number | string, id: string): string =>
  `${service}.${slot}.${id.slice(0, 12)}`

const momentOf = (flag: string, text: string | undefined): Effect.Effect<number | undefined, LogsError> => {
  if (text === undefined) return Effect.succeed(undefined)
  const ms = parseMoment(text, Date.now())
  return ms === undefined
    ? refuse(`--${flag} '${text}': expected 10m, 1h30m, seconds since the epoch or a date`)
    : Effect.succeed(ms / 1000)
}

const refuse = (message: string): Effect.Effect<never, LogsError> => Effect.fail(new LogsError({ message }))

const searchOf = Effect.fnUntraced(function* (
  raw: Pick<Raw, "grep" | "regex" | "field" | "task" | "node">
): Effect.fn.Return<LogSearch, LogsError> {
  const fields: Array<readonly [string, string]> = []
  for (const text of raw.field) {
    const at = text.indexOf("=")
    if (at <= 0) return yield* refuse(`--field '${text}': expected NAME=VALUE`)
    fields.push([text.slice(0, at), text.slice(at + 1)])
  }
  const pattern = given(raw.regex)
  const regex =
    pattern === undefined
      ? undefined
      : yield* Effect.try({
          try: () => new RegExp(pattern, "u"),
          catch: (error) =>
            new LogsError({
              message: `--regex '${pattern}': expected a regular expression: ${(error as Error).message}`
            })
        })
  const [grep, task, node] = [given(raw.grep), given(raw.task), given(raw.node)]
  return {
    fields,
    ...(grep !== undefined && { grep }),
    ...(regex !== undefined && { regex }),
    ...(task !== undefined && { task }),
    ...(node !== undefined && { node })
  }
})

type Raw = Command.Command.Config.Infer<typeof flags>

/** Beyond this lines are shown as they come: they are not gathered for ever. */
const mostSorted = 200_000

export const logs = Command.make(
  "logs",
  flags,
  Effect.fn(function* (raw) {
    const { socket, follow } = raw
    const search = yield* searchOf(raw)
    const since = yield* momentOf("since", given(raw.since))
    const until = yield* momentOf("until", given(raw.until))
    const tail = given(raw.tail)
    if (tail !== undefined && tail < 0) yield* refuse(`--tail '${tail}': expected a number of lines`)
    const services = yield* Effect.forEach(raw.services, (name) =>
      get<ServiceJson>(socket, `/services/${encodeURIComponent(name)}`)
    )
    const nodes = new Map(
      (yield* get<ReadonlyArray<NodeJson>>(socket, "/nodes")).map((node) => [
        node.ID,
        node.Description?.Hostname ?? node.ID
      ])
    )
    const formerNodes = yield* Effect.cached(removedNodes(socket))
    const unknown = yield* strangers(socket, services, nodes, formerNodes, search)
    const refuseUnknown = Effect.suspend(() => {
      const [which] = unknown
      return which === undefined ? Effect.void : refuse(whoIsUnknown(which, search, raw.services))
    })
    // Whoever is to be followed is there. What was written may be of a task that the cluster has forgotten, on a node that is gone.
    if (follow) yield* refuseUnknown
    const isColoured =
      !raw.noColor && !raw.json && process.stdout.isTTY === true && (process.env.NO_COLOR ?? "") === ""
    const printer = new LinePrinter(isColoured)
    const show = (line: ShownLine): void => {
      process.stdout.write(`${raw.json ? JSON.stringify(line) : printer.print(line, raw.timestamps)}\n`)
    }
    const problems = new Set<string>()
    let gathered: Array<ShownLine> | undefined = follow ? undefined : []
    const take = (line: ShownLine): void => {
      if (gathered === undefined) show(line)
      else if (gathered.push(line) > mostSorted) {
        for (const one of byTime(gathered)) show(one)
        gathered = undefined
      }
    }
    yield* Effect.forEach(
      services,
      Effect.fnUntraced(function* (service) {
        const lines = yield* Queue.unbounded<RawLine, Cause.Done>()
        const name = namer(socket, service)
        const shown = yield* Stream.fromQueue(lines).pipe(
          Stream.runForEach((line) =>
            Effect.gen(function* () {
              const { node, ...rest } = line
              const named = {
                service: service.Spec.Name,
                name: yield* name(line.task, node),
                ...rest,
                node: nodes.get(node) ?? (yield* formerNodes).get(node) ?? node
              }
              if (search.node !== undefined && isNode(search.node, node, named.node)) unknown.delete("node")
              if (search.task !== undefined && isTask(search.task, line.task, named.name))
                unknown.delete("task")
              if (matches(named, node, search)) take(named)
            })
          ),
          Effect.forkScoped
        )
        yield* streamLogs({
          socket,
          service: service.ID,
          follow,
          ...(since !== undefined && { since }),
          ...(until !== undefined && { until }),
          ...(tail !== undefined && { tail }),
          onLine: (line) => Queue.offerUnsafe(lines, line),
          onProblem: (text) => {
            problems.add(text)
            process.stderr.write(`${text}\n`)
          }
        })
        yield* Queue.end(lines)
        yield* Fiber.join(shown)
      }),
      { concurrency: "unbounded", discard: true }
    )
    for (const line of byTime(gathered ?? [])) show(line)
    yield* refuseUnknown
    if (problems.size > 0 && !follow) return yield* refuse("Not all lines could be read")
  }, Effect.scoped)
).pipe(Command.withDescription("What tasks write and wrote, of several services, searched"))

const whoIsUnknown = (
  which: "node" | "task",
  { node, task }: LogSearch,
  services: ReadonlyArray<string>
): string =>
  which === "node"
    ? `--node '${node}': no node is called so, nor begins its id so`
    : `--task '${task}': no task of ${services.join(", ")} is called so, nor begins its id so`

/** What nodes were called that are no longer there, as far as that is remembered. */
const removedNodes = (socket: string): Effect.Effect<ReadonlyMap<string, string>> =>
  get<{ readonly Changes: ReadonlyArray<HistoryRecord> }>(socket, "/history?kind=node&limit=1000").pipe(
    Effect.map(({ Changes }) => new Map(Changes.map(({ ID, Name }) => [ID, Name]))),
    Effect.catch(() => Effect.succeed(new Map()))
  )

/** `web.1.4i7n5x6wlpdd`; each task is looked up once, also one that the cluster has forgotten. */
function namer(socket: string, { Spec: { Name } }: ServiceJson) {
  const names = new Map<string, string>()
  return (task: string, node: string): Effect.Effect<string> => {
    const known = names.get(task)
    if (known !== undefined) return Effect.succeed(known)
    return get<TaskJson>(socket, `/tasks/${task}`).pipe(
      Effect.map(({ Slot }) => Slot ?? node),
      Effect.catch(() => Effect.succeed("?")),
      Effect.map((slot) => {
        const name = taskName(Name, slot, task)
        names.set(task, name)
        return name
      })
    )
  }
}

const byTime = (lines: ReadonlyArray<ShownLine>): ReadonlyArray<ShownLine> =>
  [...lines].sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))
