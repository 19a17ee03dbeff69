/**
 * Random lives of a ledger: entries as a log would hold them, some refused, some sent twice, from a seed.
 *
 * As a program (`bun test/support/ledger-life.ts <seed> <entries>`) it applies one and prints what came of it, so that
 * runtimes, locales and time zones can be compared.
 */
import { createHash } from "node:crypto"
import process from "node:process"
import type { Result } from "#actors/ledger/apply.ts"
import type { Command, Entry } from "#actors/ledger/commands.ts"
import { encodeEntry } from "#actors/ledger/encode.ts"
import { Machine } from "#actors/ledger/machine.ts"
import type { LedgerTables } from "#actors/ledger/tables.ts"
import { publishStates, taskStates } from "#actors/model/objects.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { Fresh } from "#runtime/ids.ts"
import { foundCluster } from "#test/support/ledger.ts"

export const loud = (defect: unknown): never => {
  throw defect
}

/** What is to be applied next depends on what is there, so that most of it is not refused. */
export class Life {
  readonly chance: Fresh
  readonly #seqs = new Map<string, number>()
  readonly #sent: Array<Entry> = []
  #made = 0
  #time = 1_790_000_000_000

  constructor(seed: number) {
    this.chance = Fresh.from(seed)
  }

  /** An entry for `tables`, as bytes. */
  next(tables: LedgerTables): Uint8Array {
    const again = this.#sent[this.chance.below(this.#sent.length || 1)]
    if (again !== undefined && this.chance.below(12) === 0) return encodeEntry(again)
    const command = tables.cluster() === undefined ? foundCluster() : this.#command(tables)
    const proposer = this.#one(["n1", "n2", "n3"])
    const boot = `b${Math.floor(this.#sent.length / 40) + this.chance.below(2)}`
    const seq = (this.#seqs.get(proposer + boot) ?? 0) + 1
    this.#seqs.set(proposer + boot, seq)
    this.#time += this.chance.below(3) * 500
    const entry: Entry = { command, proposer, boot, seq, who: "test", why: `m${seq}`, time: this.#time }
    this.#sent.push(entry)
    return encodeEntry(entry)
  }

  #one<A>(choices: ReadonlyArray<A>): A {
    return choices[this.chance.below(choices.length)] as A
  }

  /** An id that exists, mostly. */
  #known(
    tables: LedgerTables,
    kind: "node" | "service" | "task" | "network" | "secret" | "config" | "volume"
  ): string {
    const ids = [...tables.all(kind)].map(({ ID }) => ID)
    return ids.length === 0 || this.chance.below(20) === 0 ? "nobody" : this.#one(ids)
  }

  #fresh(prefix: string): string {
    this.#made++
    return `${prefix}${this.#made.toString(36).padStart(24, "0")}`.slice(0, 25)
  }

  #spec(tables: LedgerTables): ServiceSpec {
    const { chance } = this
    const network = this.#known(tables, "network")
    const secret = this.#known(tables, "secret")
    return {
      Name: `ä-${this.#made % 17}`,
      Labels: { "": "empty", __proto__x: "1", [`k${chance.below(3)}`]: "v" },
      Mode: { Replicated: { Replicas: 1 } },
      TaskTemplate: {
        ContainerSpec: {
          Image: `image:${chance.below(4)}`,
          ...(secret === "nobody" ? {} : { Secrets: [{ SecretID: secret, SecretName: "s" }] })
        },
        ...(network === "nobody" ? {} : { Networks: [{ Target: network }] })
      },
      ...(chance.below(3) === 0
        ? { EndpointSpec: { Ports: [{ PublishedPort: 8000 + chance.below(4), TargetPort: 80 }] } }
        : {})
    }
  }

  #status() {
    const { chance } = this
    const State = this.#one(taskStates)
    return {
      Timestamp: new Date(this.#time).toISOString(),
      State,
      ...(chance.below(2) === 0 ? { Message: `said ${State}` } : {}),
      ...(chance.below(5) === 0 ? { Err: "exit code 1" } : {}),
      ...(chance.below(3) === 0
        ? { ContainerStatus: { ContainerID: "c".repeat(64), PID: chance.below(9999) } }
        : {})
    }
  }

  #command(tables: LedgerTables): Command {
    const { chance } = this
    const service = tables.get("service", this.#known(tables, "service"))
    const node = tables.get("node", this.#known(tables, "node"))
    const network = this.#known(tables, "network")
    switch (chance.below(19)) {
      case 0:
        return {
          type: "node.register",
          v: 1,
          node: {
            ID: chance.below(2) === 0 ? this.#fresh("n") : this.#known(tables, "node"),
            Spec: { Role: this.#one(["worker", "manager"]), Availability: "active" },
            Status: { State: this.#one(["ready", "down"]) }
          }
        }
      case 1:
        return {
          type: "node.observe",
          v: 1,
          nodes: [
            {
              id: this.#known(tables, "node"),
              ...(chance.below(2) === 0
                ? { status: { State: "down" as const } }
                : { lastSeen: "2026-01-01T00:00:00Z" })
            }
          ]
        }
      case 2:
        return { type: "node.remove", v: 1, id: this.#known(tables, "node"), force: chance.below(2) === 0 }
      case 3:
      case 4:
        return {
          type: "service.create",
          v: 1,
          service: { ID: this.#fresh("s"), SpecVersion: 1, Spec: this.#spec(tables) }
        }
      case 5:
        if (chance.below(5) === 0)
          return {
            type: "service.scale",
            v: 1,
            id: service?.ID ?? "nobody",
            version: chance.below(8) === 0 ? 1 : (service?.Version.Index ?? 1),
            replicas: chance.below(6)
          }
        return {
          type: "service.update",
          v: 1,
          id: service?.ID ?? "nobody",
          version: chance.below(8) === 0 ? 1 : (service?.Version.Index ?? 1),
          spec: { ...this.#spec(tables), Name: service?.Spec.Name ?? "" },
          ...(chance.below(4) === 0 ? { rollback: "previous" as const } : {})
        }
      case 6:
        return chance.below(3) === 0
          ? { type: "service.remove", v: 1, id: service?.ID ?? "nobody" }
          : {
              type: "service.allot",
              v: 1,
              services: [
                {
                  id: service?.ID ?? "nobody",
                  endpoint: { VirtualIPs: [{ NetworkID: network, Addr: "10.0.0.2/24" }] }
                }
              ]
            }
      case 7:
        return {
          type: "network.create",
          v: 1,
          network: {
            ID: this.#fresh("w"),
            Name: `net-${chance.below(30)}`,
            Driver: "overlay",
            Scope: "swarm",
            Internal: false,
            Attachable: true,
            Ingress: chance.below(6) === 0,
            EnableIPv6: false,
            IPAM: { Driver: "default" },
            Options: {},
            Labels: {}
          }
        }
      case 8:
        return { type: "network.remove", v: 1, id: network }
      case 9:
        return {
          type: "secret.create",
          v: 1,
          secret: { ID: this.#fresh("e"), Spec: { Name: `secret-${chance.below(20)}`, Data: "AAE=" } }
        }
      case 10:
        return { type: "secret.remove", v: 1, id: this.#known(tables, "secret") }
      case 11:
        return {
          type: "tasks.report",
          v: 1,
          node: node?.ID ?? "nobody",
          statuses: [...tables.tasksOfNode(node?.ID ?? "")]
            .slice(0, 3)
            .map(({ ID }) => ({ id: ID, status: this.#status() }))
        }
      case 12:
        return this.#volumeCommand(tables, node?.ID ?? "nobody")
      default:
        return {
          type: "tasks.change",
          v: 1,
          create: Array.from({ length: chance.below(4) }, () => ({
            ID: this.#fresh("t"),
            ServiceID: service?.ID ?? "nobody",
            SpecVersion: service?.SpecVersion ?? 1,
            ...(chance.below(5) === 0 ? {} : { Slot: 1 + chance.below(6) }),
            Status: this.#status(),
            DesiredState: "running" as const,
            ...(chance.below(9) === 0 ? { StartAfter: "2026-01-01T00:00:00Z" } : {})
          })),
          update: Array.from({ length: chance.below(4) }, () => ({
            id: this.#known(tables, "task"),
            ...(chance.below(2) === 0 ? { NodeID: node?.ID ?? "nobody" } : { Status: this.#status() }),
            ...(chance.below(4) === 0
              ? { Volumes: [{ ID: this.#known(tables, "volume"), Source: "v", Target: "/v" }] }
              : {}),
            ...(chance.below(3) === 0
              ? { Attachments: [{ NetworkID: network, Addresses: ["10.0.0.9/24"] }] }
              : {}),
            ...(chance.below(5) === 0 ? { DesiredState: this.#one(taskStates) } : {})
          })),
          remove: chance.below(4) === 0 ? [this.#known(tables, "task")] : []
        }
    }
  }

  #volumeCommand(tables: LedgerTables, node: string): Command {
    const { chance } = this
    const id = this.#known(tables, "volume")
    const known = tables.get("volume", id)
    switch (chance.below(5)) {
      case 0:
        return { type: "volume.remove", v: 1, id, force: chance.below(3) === 0 }
      case 1:
        return {
          type: "volume.update",
          v: 1,
          id,
          version: known?.Version.Index ?? 1,
          availability: this.#one(["active", "active", "pause", "drain"])
        }
      case 2:
        return {
          type: "volume.create",
          v: 1,
          volume: {
            ID: this.#fresh("v"),
            Spec: {
              Name: `volume-${chance.below(12)}`,
              Labels: {},
              Driver: { Name: "folders" },
              Group: "",
              AccessMode: { Scope: "multi", Sharing: "all", MountVolume: {} },
              Secrets: [],
              Availability: "active"
            },
            PublishStatus: []
          }
        }
      default: {
        const steps = [...publishStates, "unpublished"] as const
        const at = known?.PublishStatus.find(({ NodeID }) => NodeID === node)?.State
        const state = at === undefined ? this.#one(steps) : (steps[steps.indexOf(at) + 1] ?? "unpublished")
        return {
          type: "volume.observe",
          v: 1,
          volumes: [
            known?.Info === undefined
              ? {
                  id,
                  info: { VolumeID: id, CapacityBytes: 1, VolumeContext: {}, AccessibleTopology: [] }
                }
              : chance.below(8) === 0
                ? { id, deleted: true as const }
                : { id, nodes: [{ node, state }] }
          ]
        }
      }
    }
  }
}

/** A log, and what applying it came to: results and digests, entry by entry. */
export interface Lived {
  readonly log: ReadonlyArray<Uint8Array>
  readonly results: ReadonlyArray<Result>
  readonly digests: ReadonlyArray<string>
  readonly machine: Machine
}

/** Index 1 is `log[0]`. */
export function live(seed: number, entries: number): Lived {
  const life = new Life(seed)
  const machine = new Machine(loud)
  const log: Array<Uint8Array> = []
  const results: Array<Result> = []
  const digests: Array<string> = []
  for (let index = 1; index <= entries; index++) {
    const data = life.next(machine.tables)
    log.push(data)
    results.push(machine.apply(index, data))
    digests.push(machine.digest())
  }
  return { log, results, digests, machine }
}

if (import.meta.main) {
  const [seed = 1, entries = 100] = process.argv.slice(2).map(Number)
  const { results, digests, machine } = live(seed, entries)
  const sha = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex")
  const snapshot = [...machine.snapshot()].map(sha)
  console.log(
    JSON.stringify({
      digest: digests.at(-1),
      all: sha(digests.join()),
      results: sha(JSON.stringify(results)),
      snapshot
    })
  )
}
