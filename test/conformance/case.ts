/** What a case of the flag sweep is: how a flag is used, where its effect is looked for, and what is to be seen there. */
import type Docker from "dockerode"

/** `unsupported` quotes the Engine's own refusal. */
export type Status = "supported" | "unsupported"

export interface Case {
  /** `service create`: what follows `docker`. */
  readonly command: string
  /** The flags that it proves, as the help writes them: `--cap-add`. None where the command itself is proved. */
  readonly flags: ReadonlyArray<string>
  /** What is to be seen, as half a sentence: `CapAdd of the container holds NET_ADMIN`. */
  readonly says: string
  /** Default: supported. */
  readonly status?: Status
  /** True for what only some releases of the CLI offer; with the others it is not run. */
  readonly onlySome?: boolean
  /** True for what has machines of its own: of these one runs at a time, because they take a while to start. */
  readonly apart?: boolean
  /** Uses the flags, looks, and fails where the effect is not there. What it gives is compared between targets. */
  readonly run: (bench: Bench) => Promise<unknown>
}

/** The docker CLI at a socket. */
export interface Client {
  /** Runs `docker <args>`; fails with what it said unless it ended with 0. */
  readonly docker: (...args: ReadonlyArray<string>) => Promise<string>
  /** The same, and gives what it said and ended with. */
  readonly attempt: (...args: ReadonlyArray<string>) => Promise<{ code: number | null; said: string }>
  /** The JSON of `docker <args>`. */
  // biome-ignore lint/suspicious/noExplicitAny: cases look into whatever the API answers
  readonly json: (...args: ReadonlyArray<string>) => Promise<any>
  /** The same as `docker`, with what goes to its input. */
  readonly told: (input: string, ...args: ReadonlyArray<string>) => Promise<string>
}

/** What a case works on: a cluster of one node and the Engine under it. */
export interface Bench extends Client {
  readonly target: Target
  /** A name that no other case has. */
  readonly name: string
  /** A folder for files that the CLI reads; goes with the sweep. */
  readonly folder: string
  /** The ids of a service's running containers, as the Engine lists them: the newest first. */
  readonly containers: (service?: string) => Promise<ReadonlyArray<string>>
  /** The Engine's own inspect of the newest running container of a service. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly container: (service?: string) => Promise<any>
  /** What a command prints inside that container. */
  readonly inside: (script: string, service?: string) => Promise<string>
  /** Waits until looking gives what is wanted; fails with what was seen last. */
  readonly until: <T>(look: () => Promise<T>, wanted: (seen: T) => boolean) => Promise<T>
  /** Has something done when the case is over, whatever became of it. */
  readonly after: (work: () => Promise<unknown>) => void
  /** A node of the case's own, in no cluster, for what would harm the others; goes with the case. */
  readonly machine: () => Promise<BenchMachine>
}

/** A node with an Engine of its own, and the CLI at its socket. */
export interface BenchMachine extends Client {
  readonly engine: Docker
  /** Where it listens for those who join: `127.0.0.1:40123`. */
  readonly address: string
  /** Ends it as a failure of power would, and starts it again. */
  readonly restart: () => Promise<void>
}

/** A node that waits for `docker swarm init` or `join`. */
export interface TargetMachine {
  readonly host: string
  readonly engine: Docker
  readonly restart: () => Promise<void>
  readonly close: () => Promise<void>
}

export interface Target {
  readonly kind: "troupe" | "swarm"
  /** For `docker -H` of the cluster. */
  readonly host: string
  /** The Engine itself, which knows nothing of Troupe. */
  readonly engine: Docker
  readonly machine: () => Promise<TargetMachine>
  readonly close: () => Promise<void>
}
