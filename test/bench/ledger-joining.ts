/**
 * A manager that joins a cluster of a million tasks while 100 writes a second go on: how long until it has all of them and
 * votes, and for how long either thread is held up meanwhile.
 *
 *     bun test/bench/ledger.ts keep DIR && bun test/bench/ledger-joining.ts DIR
 *
 * Two processes as the daemon opens its ledger, three clustered nats-servers between them; who joins has what follows the
 * ledger in a daemon: the two feeds of events and the recorder's history.
 */
import { type ChildProcess, fork } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { loadavg, tmpdir } from "node:os"
import process from "node:process"
import { fileURLToPath } from "node:url"
import type { Answer, Role } from "#test/bench/ledger/manager.ts"
import { type Access, startServers } from "#test/bench/raft/servers.ts"

const from = process.argv[2]
if (from === undefined)
  throw new Error("Which log? One that test/bench/ledger.ts kept: ledger-joining.ts DIR")
const directory = mkdtempSync(`${tmpdir()}/troupe-bench-joining-`)
const children: Array<ChildProcess> = []

/** A manager in a process of its own, and what it says, in order. */
function start(role: Role, access: Access): { readonly heard: () => Promise<Answer> } {
  const place = `${directory}/${role}`
  if (role === "founder") cpSync(from as string, place, { recursive: true })
  else mkdirSync(place)
  const program = fileURLToPath(new URL("./ledger/manager.ts", import.meta.url))
  const child = fork(program, [JSON.stringify({ role, directory: place, access })])
  children.push(child)
  const answers: Array<Answer> = []
  let waiting: ((answer: Answer) => void) | undefined
  child.on("message", (answer: Answer) => {
    if (waiting === undefined) answers.push(answer)
    else waiting(answer)
    waiting = undefined
  })
  return {
    heard: () =>
      new Promise((resolve) => {
        const answer = answers.shift()
        if (answer === undefined) waiting = resolve
        else resolve(answer)
      })
  }
}

const servers = await startServers(directory, false)
try {
  const [one, two] = servers.access as [Access, Access]
  const founder = start("founder", one)
  console.log(`load ${loadavg()[0]?.toFixed(1)}; ${(await founder.heard()).said}`)
  const joiner = start("joiner", two)
  const [leading, joined] = await Promise.all([founder.heard(), joiner.heard()])
  console.log(`the leader: ${leading.said}`)
  console.log(`who joins:  ${joined.said}`)
  console.log(`load ${loadavg()[0]?.toFixed(1)}`)
} finally {
  for (const child of children) child.kill("SIGKILL")
  for (const server of servers.processes) server.kill("SIGKILL")
  rmSync(directory, { recursive: true, force: true })
}
process.exit(0)
