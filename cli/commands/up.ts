/** `troupe up`, `plan` and `down`: a stack from Compose files, and what would become of it. */
import process from "node:process"
import { Console, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { Task } from "#actors/model/objects.ts"
import { get, remove, socketFlag } from "#cli/client.ts"
import { filtered, isOfStack, readPresent, take } from "#cli/compose/apply.ts"
import { foresee, showForeseen } from "#cli/compose/foresee.ts"
import { type Counted, judge, type Standing } from "#cli/compose/judge.ts"
import { loadProject } from "#cli/compose/load.ts"
import { changes, plan as planSteps, type Step, showSteps } from "#cli/compose/plan.ts"
import { type Desired, stackLabel, translate } from "#cli/compose/translate.ts"
import { showProblem } from "#cli/compose/value.ts"

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
  Flag.withDescription("Compose file; several with commas between, later ones add to earlier ones"),
  Flag.optional
)
const projectName = Flag.String("project-name").pipe(
  Flag.withAlias("p"),
  Flag.withDescription("the stack's name [name: in the file, else the folder's]"),
  Flag.optional
)
const switchFlag = (name: string, what: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(what), Flag.withDefault(false))
const pruneFlag = switchFlag("prune", "remove what the stack has and the file does not")

/** The file's wishes; what means nothing here is told on stderr. */
const read = (file: Option.Option<string>, name: Option.Option<string>) =>
  Effect.gen(function* () {
    const project = yield* Effect.try({
      try: () =>
        loadProject({
          files: Option.match(file, { onNone: () => [], onSome: (list) => list.split(",") }),
          projectName: Option.getOrUndefined(name),
          profiles: [],
          environment: process.env,
          workingDirectory: process.cwd()
        }),
      catch: (error) => error as Error
    })
    for (const warning of project.warnings) yield* Console.error(`warning: ${showProblem(warning)}`)
    return yield* Effect.try({ try: () => translate(project), catch: (error) => error as Error })
  })

const prepare = Effect.fnUntraced(function* (socket: string, desired: Desired, prune: boolean) {
  const present = yield* readPresent(socket)
  return { present, steps: planSteps(desired, present, isOfStack(desired.stack), prune) }
})

const refusals = (steps: ReadonlyArray<Step>): ReadonlyArray<string> =>
  steps.filter(({ action }) => action === "refused").map(({ kind, name, why }) => `${kind} ${name}: ${why}`)

export const plan = Command.make(
  "plan",
  {
    socket: socketFlag,
    file: files,
    projectName,
    prune: pruneFlag,
    json: switchFlag("json", "as JSON, without what secrets hold"),
    detailed: switchFlag("detailed-exitcode", "end with 2 if there is something to do")
  },
  Effect.fn(function* (flags) {
    const desired = yield* read(flags.file, flags.projectName)
    const { steps, present } = yield* prepare(flags.socket, desired, flags.prune)
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
    file: files,
    projectName,
    prune: pruneFlag,
    detach: switchFlag("detach", "do not wait until tasks run"),
    timeout: Flag.Int("timeout").pipe(
      Flag.withDescription("seconds to wait until all tasks run"),
      Flag.withDefault(300)
    )
  },
  Effect.fn(function* (flags) {
    const desired = yield* read(flags.file, flags.projectName)
    const { steps } = yield* prepare(flags.socket, desired, flags.prune)
    const refused = refusals(steps)
    if (refused.length > 0) return yield* Effect.fail(new Ended(refused.join("\n"), 1))
    yield* Console.log(showSteps(steps))
    // What services name has to have its id before they are made.
    for (const step of steps.filter(({ kind, action }) => kind !== "service" && action !== "remove")) {
      yield* take(flags.socket, step, yield* readPresent(flags.socket))
    }
    const present = yield* readPresent(flags.socket)
    for (const step of steps.filter(({ kind, action }) => kind === "service" || action === "remove")) {
      yield* take(flags.socket, step, present)
    }
    if (!flags.detach) yield* converge(flags.socket, desired.stack, flags.timeout)
  })
).pipe(Command.withDescription("Make the stack what the Compose file says, and wait until it runs"))

const converge = Effect.fnUntraced(function* (socket: string, stack: string, seconds: number) {
  const filter = { label: [`${stackLabel}=${stack}`] }
  const deadline = Date.now() + seconds * 1000
  let told = ""
  while (true) {
    const services = yield* get<ReadonlyArray<Counted>>(
      socket,
      `${filtered("/services", filter)}&status=true`
    )
    const tasks = yield* get<ReadonlyArray<Task>>(socket, filtered("/tasks", filter))
    const standings = services.map((service) => judge(service, tasks))
    const line = standings.map(({ name, running, wanted }) => `${name} ${running}/${wanted}`).join("  ")
    if (line !== told) yield* Console.log(line)
    told = line
    const late = standings.filter(({ isThere }) => !isThere)
    if (late.length === 0) return
    if (late.some(({ isStopped }) => isStopped) || Date.now() > deadline) {
      return yield* Effect.fail(new Ended(explain(late), 1))
    }
    yield* Effect.sleep("300 millis")
  }
})

const explain = (late: ReadonlyArray<Standing>): string =>
  late
    .map(({ name, running, wanted, why }) =>
      [`${name} did not converge: ${running} of ${wanted} tasks`, ...why.map((one) => `    ${one}`)].join(
        "\n"
      )
    )
    .join("\n")

export const down = Command.make(
  "down",
  { socket: socketFlag, file: files, projectName, name: Argument.String("name").pipe(Argument.optional) },
  Effect.fn(function* ({ socket, file, projectName, name }) {
    const stack = Option.isSome(name) ? name.value : (yield* read(file, projectName)).stack
    const present = yield* readPresent(socket)
    const nothing: Desired = {
      stack,
      networks: [],
      secrets: [],
      configs: [],
      services: [],
      external: { networks: [], secrets: [], configs: [] }
    }
    const steps = planSteps(nothing, present, isOfStack(stack), true)
    if (steps.length === 0) return yield* Effect.fail(new Ended(`Nothing found in stack: ${stack}`, 1))
    for (const { kind, name, id } of steps) {
      yield* Console.log(`- remove ${kind} ${name}`)
      yield* remove(socket, `/${kind}s/${id}`)
    }
  })
).pipe(Command.withDescription("Remove a stack with its networks, secrets and configs"))
