/** `troupe up`, `plan` and `down`: a stack from Compose files, and what would become of it. */
import process from "node:process"
import { Console, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { Task } from "#actors/model/objects.ts"
import { apiAt, get, remove, socketFlag } from "#cli/client.ts"
import { carryOut, filtered, nothingIn, prepare, refusals } from "#cli/compose/apply.ts"
import { foresee, showForeseen } from "#cli/compose/foresee.ts"
import { type Before, type Counted, judge, type Standing } from "#cli/compose/judge.ts"
import { loadProject } from "#cli/compose/load.ts"
import { changes, showSteps } from "#cli/compose/plan.ts"
import { stackLabel, translate } from "#cli/compose/translate.ts"
import { showProblem } from "#cli/compose/value.ts"
import { type RawLine, streamLogs } from "#cli/log-stream.ts"

/** What a stack came to instead, with the code to end with. */
class Ended extends Error {
  readonly exitCode: number
  constructor(message: string, exitCode: number) {
    super(message)
    this.exitCode = exitCode
  }
}

const files = Flag.String("file").pipe(
  Flag.withAlias("f"),
  Flag.withDescription(
    "Compose file; may be given several times: later ones add to earlier ones [compose.yaml]"
  ),
  Flag.between(0, 64)
)
const profiles = Flag.String("profile").pipe(
  Flag.withDescription("also services of this profile, * for all; may be given several times"),
  Flag.between(0, 64)
)
const envFiles = Flag.String("env-file").pipe(
  Flag.withDescription("file of variables instead of .env; may be given several times: later ones count"),
  Flag.between(0, 64)
)
const projectName = Flag.String("project-name").pipe(
  Flag.withAlias("p"),
  Flag.withDescription("the stack's name [name: in the file, else the folder's]"),
  Flag.optional
)
const switchFlag = (name: string, what: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(what), Flag.withDefault(false))
const pruneFlag = switchFlag("prune", "remove what the stack has and the file does not")

const projectFlags = { file: files, projectName, profile: profiles, envFile: envFiles }

interface ProjectFlags {
  readonly file: ReadonlyArray<string>
  readonly projectName: Option.Option<string>
  readonly profile: ReadonlyArray<string>
  readonly envFile: ReadonlyArray<string>
}

/** The files' wishes; what means nothing here is told on stderr. */
const read = ({ file, projectName: name, profile, envFile }: ProjectFlags) =>
  Effect.gen(function* () {
    const project = yield* Effect.try({
      try: () =>
        loadProject({
          files: file,
          projectName: Option.getOrUndefined(name),
          profiles: profile,
          envFiles: envFile,
          environment: process.env,
          workingDirectory: process.cwd()
        }),
      catch: (error) => error as Error
    })
    for (const warning of project.warnings) yield* Console.error(`warning: ${showProblem(warning)}`)
    return yield* Effect.try({ try: () => translate(project), catch: (error) => error as Error })
  })

export const plan = Command.make(
  "plan",
  {
    socket: socketFlag,
    ...projectFlags,
    prune: pruneFlag,
    json: switchFlag("json", "as JSON, without what secrets hold"),
    detailed: switchFlag("detailed-exitcode", "end with 2 if there is something to do")
  },
  Effect.fn(function* (flags) {
    const desired = yield* read(flags)
    const { steps, present } = yield* prepare(apiAt(flags.socket), desired, flags.prune)
    const placement = foresee(steps, present, Date.now())
    if (flags.json) {
      const told = steps.map(({ body: _, ...step }) => step)
      yield* Console.log(JSON.stringify({ stack: desired.stack, steps: told, placement }, undefined, 2))
    } else {
      yield* Console.log(showSteps(steps))
      if (placement.length > 0) yield* Console.log(`\nnew tasks\n${showForeseen(placement)}`)
    }
    if (refusals(steps).length > 0) return yield* Effect.fail(new Ended(refusals(steps).join("\n"), 1))
    if (flags.detailed && changes(steps).length > 0) return yield* Effect.fail(new Ended("", 2))
  })
).pipe(
  Command.withDescription("What troupe up would change, and where new tasks would be placed; changes nothing")
)

export const up = Command.make(
  "up",
  {
    socket: socketFlag,
    ...projectFlags,
    prune: pruneFlag,
    detach: switchFlag("detach", "do not wait until tasks run"),
    timeout: Flag.Int("timeout").pipe(
      Flag.withDescription("seconds to wait until all tasks run"),
      Flag.filter(
        (seconds) => seconds >= 0,
        () => "0 or more"
      ),
      Flag.withDefault(300)
    )
  },
  Effect.fn(function* (flags) {
    const desired = yield* read(flags)
    const { steps } = yield* prepare(apiAt(flags.socket), desired, flags.prune)
    const refused = refusals(steps)
    if (refused.length > 0) return yield* Effect.fail(new Ended(refused.join("\n"), 1))
    yield* Console.log(showSteps(steps))
    const present = yield* carryOut(apiAt(flags.socket), steps)
    const changed = new Set(changes(steps).flatMap(({ id }) => id ?? []))
    const former = present.tasks.filter(({ ServiceID }) => changed.has(ServiceID))
    const before = { changed, tasks: new Set(former.map(({ ID }) => ID)) }
    if (!flags.detach) yield* converge(flags.socket, desired.stack, flags.timeout, before)
  })
).pipe(Command.withDescription("Make the stack what the Compose file says, and wait until it runs"))

const lookEvery = "300 millis"
/** The same tasks are seen to run so often in a row: one that fails at once runs for a moment, too. */
const steadyLooks = 5
const runningOf = (tasks: ReadonlyArray<Task>): string =>
  tasks
    .filter(({ Status }) => Status.State === "running")
    .map(({ ID }) => ID)
    .sort()
    .join()

const converge = Effect.fnUntraced(function* (
  socket: string,
  stack: string,
  seconds: number,
  before: Before
) {
  const filter = { label: [`${stackLabel}=${stack}`] }
  const deadline = Date.now() + seconds * 1000
  let told = ""
  let steady = { tasks: "", looks: 0 }
  let looksBeyond = 0
  while (true) {
    const services = yield* get<ReadonlyArray<Counted>>(
      socket,
      `${filtered("/services", filter)}&status=true`
    )
    const tasks = yield* get<ReadonlyArray<Task>>(socket, filtered("/tasks", filter))
    const standings = services.map((service) => judge(service, tasks, before))
    const line = standings.map(({ name, running, wanted }) => `${name} ${running}/${wanted}`).join("  ")
    if (line !== told) yield* Console.log(line)
    told = line
    const late = standings.filter(({ isThere }) => !isThere)
    const running = runningOf(tasks)
    steady = { tasks: running, looks: late.length === 0 && running === steady.tasks ? steady.looks + 1 : 0 }
    if (steady.looks >= steadyLooks) return
    const isBeyond = Date.now() > deadline
    if (isBeyond) looksBeyond += 1
    // Tasks that all run by then are looked at until they are seen to stay.
    const isOver = isBeyond && (late.length > 0 || looksBeyond > steadyLooks)
    if (late.some(({ isStopped }) => isStopped) || isOver) {
      const said = new Map<string, ReadonlyArray<string>>()
      for (const { failed } of late)
        if (failed !== undefined) said.set(failed, yield* lastLines(socket, failed))
      const why = late.length === 0 ? "tasks were replaced until the end of the wait" : explain(late, said)
      return yield* Effect.fail(new Ended(why, 1))
    }
    yield* Effect.sleep(lookEvery)
  }
})

const explain = (late: ReadonlyArray<Standing>, said: ReadonlyMap<string, ReadonlyArray<string>>): string =>
  late
    .flatMap(({ name, running, wanted, why, failed = "" }) => {
      const lines = said.get(failed) ?? []
      return [
        `${name} did not converge: ${running} of ${wanted} tasks`,
        ...why.map((one) => `    ${one}`),
        ...(lines.length === 0
          ? []
          : [`    the last lines of ${failed}:`, ...lines.map((one) => `      ${one}`)])
      ]
    })
    .join("\n")

/** What a task wrote last; nothing where its node does not answer. */
const lastLines = Effect.fnUntraced(function* (socket: string, task: string) {
  const lines: Array<string> = []
  const onLine = ({ text }: RawLine): void => void lines.push(text)
  yield* streamLogs({ socket, service: "", task, follow: false, tail: 10, onLine, onProblem: () => {} }).pipe(
    Effect.timeout("5 seconds"),
    Effect.ignore
  )
  return lines
})

export const down = Command.make(
  "down",
  { socket: socketFlag, ...projectFlags, name: Argument.String("name").pipe(Argument.optional) },
  Effect.fn(function* ({ socket, name, ...flags }) {
    const stack = Option.isSome(name) ? name.value : (yield* read(flags)).stack
    const { steps } = yield* prepare(apiAt(socket), nothingIn(stack), true)
    if (steps.length === 0) return yield* Effect.fail(new Ended(`Nothing found in stack: ${stack}`, 1))
    for (const { kind, name, id } of steps) {
      yield* Console.log(`- remove ${kind} ${name}`)
      yield* remove(socket, `/${kind}s/${id}`)
    }
  })
).pipe(Command.withDescription("Remove a stack with its networks, secrets and configs"))
