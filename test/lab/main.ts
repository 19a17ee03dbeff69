/**
 * The lab: several machines on one, as root on Linux. Each is a network namespace with a real Docker Engine and a
 * Troupe manager, joined to the others by a bridge; n1 founds the cluster, the others join it, over TLS.
 *
 *     bun run lab up 3 [--without-engines] | status | cut n2 | heal n2 | kill n2 | start n2 | down
 */
import process from "node:process"
import { parseArgs } from "node:util"
import { table } from "#cli/print/table.ts"
import {
  connect,
  cut,
  heal,
  invitationOf,
  isAlive,
  isMember,
  kill,
  LabError,
  type Machine,
  newMachine,
  readMachines,
  request,
  socketOf,
  startEngine,
  startNode,
  takeDown,
  writeMachines
} from "#test/lab/machines.ts"

interface Words {
  readonly argument: string | undefined
  readonly withoutEngines: boolean
}

const commands: Readonly<Record<string, (machines: Array<Machine>, words: Words) => Promise<void>>> = {
  up: async (machines, { argument = "3", withoutEngines }) => {
    const count = Number(argument)
    if (!Number.isInteger(count) || count < 1 || count > 7)
      throw new LabError(`up '${argument}': expected 1 to 7`)
    for (let at = machines.length + 1; at <= count; at++) machines.push(newMachine(at, !withoutEngines))
    writeMachines(machines)
    for (const machine of machines) connect(machine)
    const [first, ...others] = machines
    if (first === undefined) return
    const engines = machines.map(startEngine)
    await Promise.all(engines).finally(() => writeMachines(machines))
    await startNode(first).finally(() => writeMachines(machines))
    const invitation = others.length === 0 ? undefined : await invitationOf(first)
    await Promise.all(others.map((machine) => startNode(machine, invitation))).finally(() =>
      writeMachines(machines)
    )
    for (const { name, address } of machines)
      console.log(`${name}  ${address}  docker -H unix://${socketOf(name)}`)
  },
  status: async (machines) => {
    const raft = await Promise.all(
      machines.map(({ name }) =>
        request(socketOf(name), "GET", "/raft", undefined, 2_000).then(
          ({ status, body }) => (status === 200 ? body : {}),
          () => ({})
        )
      )
    )
    const rows = machines.map(({ name, address, hasEngine, enginePid, nodePid }, at) => [
      name,
      address,
      hasEngine ? (isAlive(enginePid) ? "up" : "down") : "none",
      isAlive(nodePid) ? "up" : "down",
      ...["role", "term", "commit", "applied", "digest"].map((field) => String(raft[at]?.[field] ?? "")),
      `unix://${socketOf(name)}`
    ])
    const head = [
      "MACHINE",
      "ADDRESS",
      "ENGINE",
      "NODE",
      "ROLE",
      "TERM",
      "COMMIT",
      "APPLIED",
      "DIGEST",
      "SOCKET"
    ]
    console.log(table(head, rows))
  },
  cut: async (machines, { argument }) => cut(named(machines, argument)),
  heal: async (machines, { argument }) => heal(named(machines, argument)),
  kill: async (machines, { argument }) => kill(named(machines, argument)),
  start: async (machines, { argument }) => {
    const machine = named(machines, argument)
    if (!isMember(machine)) throw new LabError(`${machine.name} is no member of the cluster: run up again`)
    connect(machine)
    await startEngine(machine)
    await startNode(machine).finally(() => writeMachines(machines))
  },
  down: (machines) => takeDown(machines, ({ name }) => console.log(`${name} is gone`))
}

function named(machines: ReadonlyArray<Machine>, name: string | undefined): Machine {
  const machine = machines.find((candidate) => candidate.name === name)
  if (machine !== undefined) return machine
  const known = machines.map((each) => each.name).join(", ") || "none: run up first"
  throw new LabError(`'${name ?? ""}': expected one of ${known}`)
}

try {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { "without-engines": { type: "boolean", default: false } }
  })
  const [command = "", argument] = positionals
  const action = commands[command]
  if (action === undefined)
    throw new LabError(`'${command}': expected one of ${Object.keys(commands).join(", ")}`)
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    throw new LabError("the lab needs Linux and root")
  await action(readMachines(), { argument, withoutEngines: values["without-engines"] })
} catch (cause) {
  console.error(`lab: ${cause instanceof Error ? cause.message : cause}`)
  process.exit(1)
}
