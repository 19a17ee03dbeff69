/** What a service asks for, in words, without the values of its environment: those may be secrets. */

interface Resources {
  readonly NanoCPUs?: number
  readonly MemoryBytes?: number
}
interface Named {
  readonly SecretName?: string
  readonly ConfigName?: string
}
/** As much as is described. */
export interface Described {
  readonly Labels?: Readonly<Record<string, string>>
  readonly TaskTemplate: {
    readonly ContainerSpec?: {
      readonly Image?: string
      readonly Command?: ReadonlyArray<string>
      readonly Args?: ReadonlyArray<string>
      readonly Env?: ReadonlyArray<string>
      readonly User?: string
      readonly Healthcheck?: { readonly Test?: ReadonlyArray<string> }
      readonly Mounts?: ReadonlyArray<{
        readonly Type?: string
        readonly Source?: string
        readonly Target?: string
        readonly ReadOnly?: boolean
      }>
      readonly Secrets?: ReadonlyArray<Named>
      readonly Configs?: ReadonlyArray<Named>
    }
    readonly Placement?: { readonly Constraints?: ReadonlyArray<string>; readonly MaxReplicas?: number }
    readonly Resources?: { readonly Limits?: Resources; readonly Reservations?: Resources }
    readonly RestartPolicy?: {
      readonly Condition?: string
      readonly Delay?: number
      readonly MaxAttempts?: number
    }
  }
  readonly UpdateConfig?: {
    readonly Parallelism?: number
    readonly Delay?: number
    readonly FailureAction?: string
    readonly Order?: string
  }
}

export type Fact = readonly [name: string, value: string]

const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))
const seconds = (nanos: number): string => `${nanos / 1e9} s`
const sizeOf = ({ NanoCPUs = 0, MemoryBytes = 0 }: Resources): string =>
  [
    ...(NanoCPUs > 0 ? [`${NanoCPUs / 1e9} CPUs`] : []),
    ...(MemoryBytes > 0 ? [`${Math.round(MemoryBytes / 1_048_576)} MiB`] : [])
  ].join(", ")

/** So many of them. */
export const many = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`

export const showLabels = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([key, value]) => (value === "" ? key : `${key}=${value}`))
    .join(", ")

/** Those that are asked for; `networks` are names. */
export function describe(spec: Described, networks: ReadonlyArray<string>): ReadonlyArray<Fact> {
  const { ContainerSpec = {}, Placement = {}, Resources = {}, RestartPolicy = {} } = spec.TaskTemplate
  const { Command = [], Args = [], Env = [], Mounts = [], Secrets = [], Configs = [] } = ContainerSpec
  const { Parallelism = 1, Delay = 0, FailureAction, Order } = spec.UpdateConfig ?? {}
  const facts: ReadonlyArray<Fact> = [
    ["Image", ContainerSpec.Image ?? ""],
    ["Entrypoint", Command.map(quoted).join(" ")],
    ["Arguments", Args.map(quoted).join(" ")],
    ["User", ContainerSpec.User ?? ""],
    ["Variables", Env.map((line) => line.split("=")[0]).join(", ")],
    [
      "Mounts",
      Mounts.map(
        ({ Type, Source, Target, ReadOnly }) =>
          `${Source ?? Type} at ${Target}${ReadOnly === true ? ", read only" : ""}`
      ).join("; ")
    ],
    ["Networks", networks.join(", ")],
    ["Secrets", Secrets.map(({ SecretName }) => SecretName).join(", ")],
    ["Configs", Configs.map(({ ConfigName }) => ConfigName).join(", ")],
    ["Health check", (ContainerSpec.Healthcheck?.Test ?? []).join(" ")],
    [
      "Placement",
      [
        ...(Placement.Constraints ?? []),
        ...((Placement.MaxReplicas ?? 0) > 0 ? [`at most ${Placement.MaxReplicas} a node`] : [])
      ].join(", ")
    ],
    ["At most", sizeOf(Resources.Limits ?? {})],
    ["Set aside", sizeOf(Resources.Reservations ?? {})],
    [
      "Restart",
      [
        RestartPolicy.Condition ?? "any",
        ...(RestartPolicy.Delay === undefined ? [] : [`after ${seconds(RestartPolicy.Delay)}`]),
        ...((RestartPolicy.MaxAttempts ?? 0) > 0 ? [`${RestartPolicy.MaxAttempts} times`] : [])
      ].join(", ")
    ],
    [
      "Update",
      spec.UpdateConfig === undefined
        ? ""
        : [
            Parallelism === 0 ? "all at once" : `${Parallelism} at a time`,
            ...(Delay > 0 ? [`${seconds(Delay)} apart`] : []),
            ...(Order === undefined ? [] : [Order]),
            ...(FailureAction === undefined ? [] : [`${FailureAction} on failure`])
          ].join(", ")
    ],
    ["Labels", showLabels(spec.Labels ?? {})]
  ]
  return facts.filter(([, value]) => value !== "")
}
