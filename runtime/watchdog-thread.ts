/** The thread of `watchdog.ts`: looks at the blackboard, and ends the process when the main thread is stuck. */
import { writeSync } from "node:fs"
import { performance } from "node:perf_hooks"
import process from "node:process"
import { workerData } from "node:worker_threads"
import { Blackboard } from "#runtime/blackboard.ts"
import { endProcess } from "#runtime/platform.ts"
import { look, type Watch } from "#runtime/stuck.ts"

interface Orders {
  readonly memory: SharedArrayBuffer
  readonly stuckMs: number
  readonly tickMs: number
  readonly exitCode: number
}

const { memory, stuckMs, tickMs, exitCode } = workerData as Orders
const board = new Blackboard(memory)

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

let watch: Watch = { beats: board.beats, silentMs: 0, cpuMs: cpuMs() }
let before = performance.now()
while (board.sleep(tickMs)) {
  const now = performance.now()
  const seen = look(watch, { beats: board.beats, tookMs: now - before, cpuMs: cpuMs() }, { stuckMs, tickMs })
  before = now
  watch = seen.watch
  if (!seen.stuck) continue
  const { actor, tag } = board.read()
  const where = actor === undefined ? "outside of any actor's turn" : `in ${actor}, at message ${tag}`
  const said = { _tag: "Stuck", actor, message: tag, stuckMs: Math.round(watch.silentMs) }
  try {
    writeSync(2, `${JSON.stringify({ ...said, error: `The main thread is stuck ${where}` })}\n`)
  } catch {
    // Nobody reads what we say; ending matters more.
  }
  await endProcess(exitCode)
}
