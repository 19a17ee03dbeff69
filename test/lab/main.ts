/**
 * The lab: several machines on one, as root on Linux. Each is a network namespace with a real Docker Engine of its own,
 * joined to the others by a bridge; n1 founds a cluster, the others join it, over TLS.
 *
 *     bun run lab up 5 [--managers 3] [--swarm | --without-engines]
 *     bun run lab status | cut n2 | heal n2 | freeze n2 [engine|node] | thaw n2 | kill n2 | start n2 | load IMAGE | down
 */
import { spawnSync } from "node:child_process"
import process from "node:process"
import { parseArgs } from "node:util"
import { apiOf, engineOf, type Machine, newMachine, readMachines, writeMachines } from "#test/lab/machines.ts"
import { cut, heal } from "#test/lab/network.ts"
import { freeze, kill, type Part, takeDown, thaw } from "#test/lab/power.ts"
import { isAlive, LabError } from "#test/lab/processes.ts"
import { raise, startAgain } from "#test/lab/raise.ts"
import { status } from "#test/lab/status.ts"
import { isMember } from "#test/lab/troupe.ts"

interface Words {
  readonly rest: ReadonlyArray<string>
  readonly managers: string | undefined
  readonly swarm: boolean
  readonly withoutEngines: boolean
}

type Command = (machines: Array<Machine>, words: Words) => Promise<void> | void

/** More would only be slower to agree. */
const mostManagers = 7
const mostMachines = 20

const commands: Readonly<Record<string, { readonly takes: number; readonly run: Command }>> = {
  up: {
    takes: 1,
    run: async (machines, words) => {
      plan(machines, words)
      await raise(machines)
      for (const machine of machines)
        console.log(`${machine.name}  ${machine.address}  docker -H unix://${apiOf(machine)}`)
    }
  },
  status: { takes: 0, run: async (machines) => console.log(await status(someOf(machines))) },
  cut: { takes: 1, run: (machines, { rest }) => cut(named(machines, rest[0])) },
  heal: { takes: 1, run: (machines, { rest }) => heal(named(machines, rest[0])) },
  freeze: { takes: 2, run: (machines, { rest }) => freeze(named(machines, rest[0]), part(rest[1])) },
  thaw: { takes: 1, run: (machines, { rest }) => thaw(named(machines, rest[0])) },
  kill: { takes: 1, run: (machines, { rest }) => kill(named(machines, rest[0])) },
  start: {
    takes: 1,
    run: async (machines, { rest }) => {
      const machine = named(machines, rest[0])
      if (machine.orchestrator === "troupe" && !isMember(machine))
        throw new LabError(`${machine.name} is no member of the cluster: run up again`)
      await startAgain(machine).finally(() => writeMachines(machines))
    }
  },
  load: { takes: 1, run: (machines, { rest }) => load(someOf(machines), rest[0]) },
  down: {
    takes: 0,
    run: (machines) => takeDown(machines, ({ name }) => console.log(`${name} is gone`))
  }
}

/** Adds to `machines` those that are missing. */
function plan(machines: Array<Machine>, { rest, managers, swarm, withoutEngines }: Words): void {
  const count = within(`up '${rest[0] ?? "3"}'`, rest[0] ?? "3", 1, mostMachines)
  const most = Math.min(count, mostManagers)
  const managing = managers === undefined ? most : within(`--managers '${managers}'`, managers, 1, most)
  if (swarm && withoutEngines)
    throw new LabError("--swarm --without-engines: expected one of the two, Swarm is a part of the Engine")
  const orchestrator = swarm ? "swarm" : "troupe"
  const [first] = machines
  if (first !== undefined && first.orchestrator !== orchestrator)
    throw new LabError(
      `a lab of ${first.orchestrator} is up: run down before up ${swarm ? "--swarm" : "without --swarm"}`
    )
  for (let at = machines.length + 1; at <= count; at++) {
    const role = at <= managing ? "manager" : "worker"
    machines.push(newMachine(at, { role, orchestrator, hasEngine: !withoutEngines }))
  }
}

function within(what: string, text: string, least: number, most: number): number {
  const number = Number(text)
  if (/^\d+$/.test(text) && number >= least && number <= most) return number
  throw new LabError(`${what}: expected a whole number from ${least} to ${most}`)
}

function part(word: string | undefined): Part {
  if (word === undefined) return "machine"
  if (word === "engine" || word === "node") return word
  throw new LabError(`freeze '${word}': expected engine, node, or nothing for the whole machine`)
}

function named(machines: ReadonlyArray<Machine>, name: string | undefined): Machine {
  const machine = machines.find((candidate) => candidate.name === name)
  if (machine !== undefined) return machine
  const known = machines.map((each) => each.name).join(", ") || "none: run up first"
  throw new LabError(`'${name ?? ""}': expected one of ${known}`)
}

function someOf(machines: ReadonlyArray<Machine>): ReadonlyArray<Machine> {
  if (machines.length === 0) throw new LabError("no lab is up: run up first")
  return machines
}

/** Copies an image of this machine's own Engine to every Engine of the lab. */
function load(machines: ReadonlyArray<Machine>, image: string | undefined): void {
  if (image === undefined) throw new LabError("load: expected an image that `docker image ls` shows here")
  const saved = spawnSync("docker", ["save", image], { maxBuffer: 4 * 1024 ** 3 })
  if (saved.status !== 0) throw new LabError(`load '${image}': ${saved.stderr.toString().trim()}`)
  for (const { name, enginePid } of machines) {
    if (!isAlive(enginePid)) continue
    const loaded = spawnSync("docker", ["-H", `unix://${engineOf(name)}`, "load"], { input: saved.stdout })
    if (loaded.status !== 0)
      throw new LabError(`load '${image}' on ${name}: ${loaded.stderr.toString().trim()}`)
    console.log(`${name}: ${loaded.stdout.toString().trim()}`)
  }
}

try {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      managers: { type: "string" },
      swarm: { type: "boolean", default: false },
      "without-engines": { type: "boolean", default: false }
    }
  })
  const [word = "", ...rest] = positionals
  const command = commands[word]
  if (command === undefined)
    throw new LabError(`'${word}': expected one of ${Object.keys(commands).join(", ")}`)
  const surplus = rest[command.takes]
  if (surplus !== undefined) throw new LabError(`${word}: '${surplus}' is one word too many`)
  if (word !== "up" && (values.managers !== undefined || values.swarm || values["without-engines"]))
    throw new LabError(`${word}: --managers, --swarm and --without-engines go with up`)
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    throw new LabError("the lab needs Linux and root")
  const { managers, swarm } = values
  await command.run(readMachines(), { rest, managers, swarm, withoutEngines: values["without-engines"] })
} catch (cause) {
  console.error(`lab: ${cause instanceof Error ? cause.message : cause}`)
  process.exit(1)
}
