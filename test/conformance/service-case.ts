/** Makes cases of `docker service create` and `update` from what a flag sets: how it is given, where it shows, and as what. */
import { isDeepStrictEqual } from "node:util"
import type { Bench, Case, Status } from "#test/conformance/case.ts"
import { testImage } from "#test/support/engine.ts"

/** What a service of these cases runs: it does nothing, and ends at once when it is told to. */
export const idle = ["sh", "-c", "trap exit TERM INT; sleep 100000 & wait"]

export interface Field {
  readonly flags: ReadonlyArray<string>
  readonly args: ReadonlyArray<string>
  readonly says: string
  readonly read: (bench: Bench) => Promise<unknown>
  readonly wanted: unknown
  /** What is to be seen before an update, where that takes a while to be so; otherwise anything else than `wanted`. */
  readonly before?: unknown
  readonly status?: Status
  /** What else the service is created with. */
  readonly given?: ReadonlyArray<string>
  /** What it runs instead of idling. */
  readonly command?: ReadonlyArray<string>
  /** What must be there first. */
  readonly prepare?: (bench: Bench) => Promise<unknown>
}

/** A list that `create` fills and that `update` adds to and takes from. */
export interface ListField extends Omit<Field, "flags" | "args"> {
  readonly create: string
  readonly add: string
  readonly remove: string
  readonly value: string | ((bench: Bench) => string)
  /** By what it is taken out again. */
  readonly key: string | ((bench: Bench) => string)
  /** What shows without it. */
  readonly gone: unknown
}

export const create = (
  bench: Bench,
  args: ReadonlyArray<string> = [],
  command: ReadonlyArray<string> = idle
): Promise<string> =>
  bench.docker("service", "create", "-d", "-q", "--name", bench.name, ...args, testImage, ...command)

export const update = (bench: Bench, ...args: ReadonlyArray<string>): Promise<string> =>
  bench.docker("service", "update", "-d", "-q", ...args, bench.name)

const shows = (bench: Bench, read: Field["read"], wanted: unknown): Promise<unknown> =>
  bench.until(
    () => read(bench),
    (seen) => isDeepStrictEqual(seen, wanted)
  )

/** The service is created with the flags, and shows them. */
export const created = (field: Field): Case => ({
  ...headOf(field),
  command: "service create",
  run: async (bench) => {
    await field.prepare?.(bench)
    await create(bench, [...(field.given ?? []), ...field.args], field.command)
    return await shows(bench, field.read, field.wanted)
  }
})

/** The service runs without the flags and shows nothing of them; with the update it does. */
export const updated = (field: Field): Case => ({
  ...headOf(field),
  command: "service update",
  run: async (bench) => {
    await field.prepare?.(bench)
    await create(bench, field.given, field.command)
    await runs(bench)
    if (field.before !== undefined) await shows(bench, field.read, field.before)
    if (isDeepStrictEqual(await field.read(bench).catch(() => undefined), field.wanted)) {
      throw new Error(`Seen before the update: ${JSON.stringify(field.wanted)}`)
    }
    await update(bench, ...field.args)
    return await shows(bench, field.read, field.wanted)
  }
})

/** Three cases: created with it, added to, taken out. */
export function listed(list: ListField): ReadonlyArray<Case> {
  const valueFor = (bench: Bench) => (typeof list.value === "string" ? list.value : list.value(bench))
  const keyFor = (bench: Bench) => (typeof list.key === "string" ? list.key : list.key(bench))
  const begin = async (bench: Bench, args: ReadonlyArray<string>): Promise<void> => {
    await list.prepare?.(bench)
    await create(bench, [...(list.given ?? []), ...args], list.command)
  }
  const head = (flag: string, says = list.says) => headOf({ ...list, flags: [flag], says })
  return [
    {
      ...head(list.create),
      command: "service create",
      run: async (bench) => {
        await begin(bench, [list.create, valueFor(bench)])
        return await shows(bench, list.read, list.wanted)
      }
    },
    {
      ...head(list.add),
      command: "service update",
      run: async (bench) => {
        await begin(bench, [])
        await shows(bench, list.read, list.gone)
        await update(bench, list.add, valueFor(bench))
        return await shows(bench, list.read, list.wanted)
      }
    },
    {
      ...head(list.remove, `once it was there and is taken out, no longer: ${list.says}`),
      command: "service update",
      run: async (bench) => {
        await begin(bench, [list.create, valueFor(bench)])
        await shows(bench, list.read, list.wanted)
        await update(bench, list.remove, keyFor(bench))
        return await shows(bench, list.read, list.gone)
      }
    }
  ]
}

/** A case of `command` that no field or list says. */
export const ownOf =
  (command: string) =>
  (flag: string, says: string, run: Case["run"]): Case => ({ command, flags: [flag], says, run })

/** Fails unless it holds. */
export function expectThat(holds: boolean, seen: unknown): void {
  if (!holds) throw new Error(`Seen: ${JSON.stringify(seen)}`)
}

const headOf = ({ flags, says, status }: Pick<Field, "flags" | "says" | "status">) => ({
  flags,
  says,
  ...(status && { status })
})

/** Waits until a container of the service runs. */
export const runs = (bench: Bench): Promise<unknown> => bench.until(bench.container, () => true)

// biome-ignore lint/suspicious/noExplicitAny: the API's own service
export const service = async (bench: Bench): Promise<any> =>
  (await bench.json("service", "inspect", bench.name))[0]

// biome-ignore lint/suspicious/noExplicitAny: the API's own spec of a task
export const template = async (bench: Bench): Promise<any> => (await service(bench)).Spec.TaskTemplate

/** What the cluster says of each task that is to run, in the order of their errors. */
export const errors = (bench: Bench): Promise<ReadonlyArray<string>> =>
  allErrors(bench, "--filter", "desired-state=running")

/** The same of every task. */
export const allErrors = async (
  bench: Bench,
  ...filter: ReadonlyArray<string>
): Promise<ReadonlyArray<string>> =>
  (await bench.docker("service", "ps", "--no-trunc", ...filter, "--format", "{{.Error}}", bench.name))
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/^"|"$/g, ""))
    .sort()

/** How many containers of the service run on the Engine. */
export const running = async (bench: Bench): Promise<number> => (await bench.containers()).length
