/** `troupe autoscale`: which services follow their load, why they are as large as they are, and how to have one do so. */
import { Console, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { labelPrefix } from "#actors/autoscaler/policy.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { get, post, socketFlag } from "#cli/client.ts"
import { jsonFlag, printJson } from "#cli/json-flag.ts"
import { type Scaled, showDecisions, showScaled } from "#cli/print/autoscale.ts"

interface Inspected {
  readonly ID: string
  readonly Version: { readonly Index: number }
  readonly Spec: ServiceSpec
}

const setting = (name: string, what: string) =>
  Flag.String(name).pipe(Flag.withDescription(what), Flag.optional)
const settings = {
  min: setting("min", "the fewest tasks"),
  max: setting("max", "the most tasks"),
  schedule: setting("schedule", 'at least so many from then on: "0 8 * * 1-5 => 10; 0 20 * * * => 2"'),
  timezone: setting("timezone", "of the schedule [UTC]"),
  tolerance: setting("tolerance", "how far off nothing is done [10%]"),
  panic: setting("panic", "the last seconds that count alone when load rises fast [3s]"),
  window: setting("window", "the time over which all else is measured [30s]"),
  stabilise: setting("stabilise", "nothing goes down below what was wanted in this time [5m]")
}
type Settings = { readonly [Name in keyof typeof settings]: Option.Option<string> }

const targets = Flag.String("target").pipe(
  Flag.withDescription("what one task is for, such as cpu=70% or memory=512m; may be given several times"),
  Flag.between(0, 16)
)

/** Labels by their names without the prefix; an empty value takes one away. */
export function changesOf(
  { ...asked }: Settings,
  wanted: ReadonlyArray<string>
): ReadonlyArray<readonly [name: string, value: string]> | Error {
  const changes = Object.entries(asked).flatMap(([name, value]) =>
    Option.isSome(value) ? [[name, value.value] as const] : []
  )
  for (const target of wanted) {
    // A subject of NATS may hold an equals sign, a goal never does.
    const at = target.lastIndexOf("=")
    if (at <= 0) return new Error(`--target ${target}: expected NAME=GOAL, such as cpu=70%`)
    changes.push([target.slice(0, at), target.slice(at + 1)])
  }
  return changes
}

/** `spec` with these labels of scaling changed, or with none of them at all. */
export function withLabels(
  spec: ServiceSpec,
  changes: ReadonlyArray<readonly [name: string, value: string]>,
  off: boolean
): ServiceSpec {
  const labels = new Map(Object.entries(spec.Labels ?? {}))
  if (off) for (const label of labels.keys()) if (label.startsWith(labelPrefix)) labels.delete(label)
  for (const [name, value] of changes) {
    if (value === "") labels.delete(`${labelPrefix}${name}`)
    else labels.set(`${labelPrefix}${name}`, value)
  }
  return { ...spec, Labels: Object.fromEntries(labels) }
}

export const autoscale = Command.make(
  "autoscale",
  {
    service: Argument.String("service").pipe(
      Argument.withDescription("one service: its decisions, or what to set"),
      Argument.optional
    ),
    ...settings,
    target: targets,
    off: Flag.Boolean("off").pipe(
      Flag.withDescription("take all of it away first: without other flags the service stays as it is"),
      Flag.withDefault(false)
    ),
    json: jsonFlag,
    socket: socketFlag
  },
  Effect.fn(function* ({ service, socket, json, target, off, ...asked }) {
    const changes = changesOf(asked, target)
    if (changes instanceof Error) return yield* Effect.fail(changes)
    const changing = off || changes.length > 0
    if (Option.isNone(service)) {
      if (changing)
        return yield* Effect.fail(new Error("which service is to be changed? Give its name first"))
      const all = yield* get<ReadonlyArray<Scaled>>(socket, "/autoscale")
      return yield* json ? printJson(all) : Console.log(showScaled(all))
    }
    const name = encodeURIComponent(service.value)
    if (changing) {
      const { ID, Version, Spec } = yield* get<Inspected>(socket, `/services/${name}`)
      const spec = withLabels(Spec, changes, off)
      yield* post(socket, `/services/${ID}/update?version=${Version.Index}`, spec)
      if (off && changes.length === 0) {
        return yield* Console.log(`${Spec.Name} does not follow its load any more`)
      }
    }
    const one = yield* get<Scaled>(socket, `/autoscale/${name}`)
    if (json) return yield* printJson(one)
    yield* Console.log(`${showScaled([one])}\n\n${showDecisions(one)}`)
  })
).pipe(Command.withDescription("Which services follow their load and why; with flags, have one do so"))
