/**
 * How updates, rollbacks and restarts go, read from when containers began and ended and from what became of them: each flag
 * given when the service is created, and given later.
 */
import { randomBytes } from "node:crypto"
import { appendFile, mkdir, readFile } from "node:fs/promises"
import { join as path } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { isDeepStrictEqual } from "node:util"
import type { Bench, Case } from "#test/conformance/case.ts"
import { create, idle, running, service, update } from "#test/conformance/service-case.ts"
import { begin, join } from "#test/conformance/swarm-case.ts"
import { ensureTestImage } from "#test/support/engine.ts"

const ways = ["service create", "service update"] as const

/** What a life of a container was. */
interface Life {
  readonly colour: string
  readonly isRunning: boolean
  /** Milliseconds since the epoch. */
  readonly began: number
  readonly ended: number
}

/** Every life of the service that the Engine remembers, the oldest first. */
async function livesOf({ target, name }: Bench): Promise<ReadonlyArray<Life>> {
  const filters = { label: [`com.docker.swarm.service.name=${name}`] }
  const listed = await target.engine.listContainers({ all: true, filters })
  const seen = await Promise.all(
    listed.map(({ Id }) =>
      target.engine
        .getContainer(Id)
        .inspect()
        .catch(() => undefined)
    )
  )
  return seen
    .flatMap((one) => (one === undefined ? [] : [one]))
    .map(({ Config, State }) => ({
      colour: (Config.Env ?? []).find((entry) => entry.startsWith("COLOUR="))?.slice(7) ?? "",
      isRunning: State.Running,
      began: Date.parse(State.StartedAt),
      ended: Date.parse(State.FinishedAt)
    }))
    .filter(({ began }) => began > 0)
    .sort((a, b) => a.began - b.began)
}

/** A folder of the host's that the service's containers see as `/state`. */
async function stateOf(
  bench: Bench
): Promise<{ readonly folder: string; readonly mount: ReadonlyArray<string> }> {
  const folder = path(bench.folder, `state-${randomBytes(4).toString("hex")}`)
  await mkdir(folder)
  return { folder, mount: ["--mount", `type=bind,source=${folder},destination=/state`] }
}

const shows = <T>(bench: Bench, look: () => Promise<T>, wanted: T): Promise<T> =>
  bench.until(look, (seen) => isDeepStrictEqual(seen, wanted))

// Updates and rollbacks

/** Ends badly where `/state/<colour>` names its slot, or all; otherwise it idles. */
const moody = [
  "sh",
  "-c",
  `if grep -qsx -e all -e "$SLOT" "/state/$COLOUR"; then sleep "$LASTS"; exit 1; fi; ${idle[2]}`
]

interface Effect {
  readonly flag: string
  readonly value: string
  readonly says: string
  readonly replicas: number
  /** Other settings of the same kind, without `--update-` and `--rollback-`. */
  readonly beside?: ReadonlyArray<string>
  /** Which slots' new tasks end badly, and after how many seconds. */
  readonly bad?: { readonly slots: "all" | "1"; readonly after: number }
  /** What is to be seen once the new colour is there. */
  readonly wanted: unknown
  readonly look: (bench: Bench, colour: string, since: number, replicas: number) => Promise<unknown>
}

/** Containers further apart than this were not begun together. */
const apartMs = 4_000

/** How many tasks of the colour were begun at a time. */
async function batches(bench: Bench, colour: string, _since: number, replicas: number): Promise<unknown> {
  const lives = (await livesOf(bench)).filter((life) => life.colour === colour && life.isRunning)
  if (lives.length < replicas) return lives.length
  const sizes: Array<number> = []
  for (const [at, { began }] of lives.entries()) {
    const before = lives[at - 1]
    if (before === undefined || began - before.began > apartMs) sizes.push(0)
    sizes.push((sizes.pop() ?? 0) + 1)
  }
  return sizes
}

/** Whether the new one ran before the old one ended. */
async function overlapped(bench: Bench, colour: string): Promise<unknown> {
  const lives = await livesOf(bench)
  const next = lives.findLast((life) => life.colour === colour && life.isRunning)
  const last = lives.findLast((life) => life.colour !== colour)
  return next !== undefined && last !== undefined && !last.isRunning && next.began < last.ended
}

/** What the service says came of the update that began after `since`, without whether it was one back. */
async function outcome(bench: Bench, _colour: string, since: number): Promise<unknown> {
  const { StartedAt = "", State = "" } = (await service(bench)).UpdateStatus ?? {}
  return Date.parse(StartedAt) >= since ? State.replace("rollback_", "") : "nothing yet"
}

const effects: ReadonlyArray<Effect> = [
  {
    flag: "parallelism",
    value: "2",
    says: "four tasks are replaced in pairs",
    replicas: 4,
    beside: ["delay", "6s"],
    look: batches,
    wanted: [2, 2]
  },
  {
    flag: "delay",
    value: "6s",
    says: "between two tasks it waits",
    replicas: 2,
    look: batches,
    wanted: [1, 1]
  },
  {
    flag: "order",
    value: "start-first",
    says: "the new task runs before the old one ends",
    replicas: 1,
    look: overlapped,
    wanted: true
  },
  {
    flag: "monitor",
    value: "5s",
    says: "a task that fails two seconds after its start stops it",
    replicas: 1,
    bad: { slots: "all", after: 2 },
    look: outcome,
    wanted: "paused"
  },
  {
    flag: "failure-action",
    value: "continue",
    says: "it goes on though all new tasks fail",
    replicas: 2,
    bad: { slots: "all", after: 0 },
    look: outcome,
    wanted: "completed"
  },
  {
    flag: "max-failure-ratio",
    value: "0.6",
    says: "it goes on though one of two new tasks fails",
    replicas: 2,
    bad: { slots: "1", after: 0 },
    look: outcome,
    wanted: "completed"
  }
]

const rolledOut = (
  command: (typeof ways)[number],
  which: "update" | "rollback",
  { flag, value, says, replicas, beside = [], bad, look, wanted }: Effect
): Case => {
  const given = [`--${which}-${flag}`, value]
  return {
    command,
    flags: [`--${which}-${flag}`],
    says: which === "update" ? says : `on the way back: ${says}`,
    run: async (bench) => {
      const state = await stateOf(bench)
      const settings = [...beside, ...(flag === "monitor" ? [] : ["monitor", "1s"])]
      await create(
        bench,
        [
          ...["--replicas", String(replicas), "--restart-condition", "none", ...state.mount],
          ...["--env", "COLOUR=blue", "--env", "SLOT={{.Task.Slot}}", "--env", `LASTS=${bad?.after ?? 0}`],
          ...settings.map((word, at) => (at % 2 === 0 ? `--${which}-${word}` : word)),
          ...(which === "rollback" ? ["--update-parallelism", "0", "--update-monitor", "1s"] : []),
          ...(command === "service create" ? given : [])
        ],
        moody
      )
      const are = (colour: string) =>
        shows(
          bench,
          async () => (await livesOf(bench)).filter((one) => one.colour === colour && one.isRunning).length,
          replicas
        )
      const updated = (since: number) =>
        bench.until(
          () => outcome(bench, "", since),
          (seen) => seen === "completed"
        )
      await are("blue")
      if (command === "service update") await update(bench, ...given)
      let since = Date.now()
      if (which === "rollback") {
        await update(bench, "--env-add", "COLOUR=red")
        await are("red")
        await updated(since)
      }
      const colour = which === "update" ? "red" : "blue"
      if (bad !== undefined) await appendFile(path(state.folder, colour), `${bad.slots}\n`)
      since = Date.now()
      if (which === "update") await update(bench, "--env-add", "COLOUR=red")
      else await bench.docker("service", "rollback", "-d", bench.name)
      return await shows(bench, () => look(bench, colour, since, replicas), wanted)
    }
  }
}

// Restarts

interface Restart {
  readonly flag: string
  readonly value: string
  readonly says: string
  readonly beside: ReadonlyArray<string>
  /** What a life does after it was counted in `/state/lives`. */
  readonly script: string
  readonly look: (bench: Bench, lives: number) => Promise<unknown>
  readonly wanted: unknown
  /** For how long it is to stay so. */
  readonly staysMs?: number
}

const fails = "sleep 0.3; exit 1"
const soon = ["--restart-delay", "100ms"]

const restarts: ReadonlyArray<Restart> = [
  {
    flag: "condition",
    value: "on-failure",
    says: "a task that fails is followed by another, and one that succeeds is not",
    beside: soon,
    script: "[ $(wc -l < /state/lives) -ge 2 ]",
    look: async (_bench, lives) => lives,
    wanted: 2,
    staysMs: 1_000
  },
  {
    flag: "delay",
    value: "2s",
    says: "between two tasks it waits two seconds, not the usual five",
    beside: ["--restart-max-attempts", "1"],
    script: fails,
    look: async (bench) => {
      const [before, after] = (await livesOf(bench)).slice(-2)
      if (before === undefined || after === undefined) return "one life"
      const pause = after.began - before.ended
      return pause >= 2_000 && pause < 5_000
    },
    wanted: true
  },
  {
    flag: "max-attempts",
    value: "2",
    says: "a task that always fails is followed by two others",
    beside: soon,
    script: fails,
    look: async (_bench, lives) => lives,
    wanted: 3,
    staysMs: 1_000
  },
  {
    flag: "window",
    value: "500ms",
    says: "attempts of before the window do not count",
    beside: [...soon, "--restart-max-attempts", "1"],
    script: "sleep 1; exit 1",
    look: async (_bench, lives) => lives >= 4,
    wanted: true
  }
]

const restarted = (
  command: (typeof ways)[number],
  { flag, value, says, beside, script, look, wanted, staysMs = 0 }: Restart
): Case => ({
  command,
  flags: [`--restart-${flag}`],
  says,
  run: async (bench) => {
    const { folder, mount } = await stateOf(bench)
    const given = [`--restart-${flag}`, value]
    const words = `echo >> /state/lives; ${script}`
    if (command === "service create")
      await create(bench, [...mount, ...beside, ...given], ["sh", "-c", words])
    else {
      await create(bench, [...mount, ...beside])
      await shows(bench, () => running(bench), 1)
      await update(bench, ...given, "--args", `sh -c "${words}"`)
    }
    const seen = async () => {
      const lives = await readFile(path(folder, "lives"), "utf8").catch(() => "")
      return look(bench, lives.length)
    }
    await shows(bench, seen, wanted)
    await pause(staysMs)
    return await shows(bench, seen, wanted)
  }
})

// Placement

const spread = ["spread=node.labels.zone"] as const

/** One machine in a zone of its own and two in another: how many of six tasks are on each. */
async function zones(bench: Bench) {
  const machines = await Promise.all([bench.machine(), bench.machine(), bench.machine()])
  const [manager, ...others] = machines
  await Promise.all(machines.map(({ engine }) => ensureTestImage(engine)))
  await begin(manager)
  const ids = [await manager.docker("info", "--format", "{{.Swarm.NodeID}}")]
  for (const other of others) ids.push(await join(manager, other, "worker"))
  await bench.until(
    () => manager.docker("node", "ls", "--format", "{{.Status}}"),
    (seen) => seen === "Ready\nReady\nReady"
  )
  for (const [at, id] of ids.entries())
    await manager.docker("node", "update", "--label-add", `zone=${at === 0 ? "a" : "b"}`, id)
  const on = async (id: string): Promise<number> => {
    const filters = [`node=${id}`, "desired-state=running"].flatMap((filter) => ["--filter", filter])
    return (await manager.docker("service", "ps", "-q", ...filters, "web")).split("\n").filter(Boolean).length
  }
  const places = async (): Promise<ReadonlyArray<number>> => {
    const [alone = 0, ...rest] = await Promise.all(ids.map(on))
    return [alone, ...rest.sort()]
  }
  return { manager, places }
}

const six = ["service", "create", "-d", "-q", "--name", "web", "--replicas", "6", "--update-parallelism", "0"]

const placed: ReadonlyArray<Case> = [
  {
    command: "service create",
    flags: ["--placement-pref"],
    says: "half of the tasks are in the zone of a single machine, half in the zone of two",
    apart: true,
    run: async (bench) => {
      const { manager, places } = await zones(bench)
      await manager.docker(...six, "--placement-pref", ...spread, "troupe-test:1", ...idle)
      return await shows(bench, places, [3, 1, 2])
    }
  },
  {
    command: "service update",
    flags: ["--placement-pref-add", "--placement-pref-rm"],
    says: "tasks are spread over machines, then over zones, then over machines again",
    apart: true,
    run: async (bench) => {
      const { manager, places } = await zones(bench)
      await manager.docker(...six, "troupe-test:1", ...idle)
      await shows(bench, places, [2, 2, 2])
      await manager.docker("service", "update", "-d", "--force", "--placement-pref-add", ...spread, "web")
      await shows(bench, places, [3, 1, 2])
      await manager.docker("service", "update", "-d", "--force", "--placement-pref-rm", ...spread, "web")
      return await shows(bench, places, [2, 2, 2])
    }
  }
]

export const serviceRollout: ReadonlyArray<Case> = [
  ...ways.flatMap((command) => [
    ...(["update", "rollback"] as const).flatMap((which) =>
      effects.map((effect) => rolledOut(command, which, effect))
    ),
    ...restarts.map((restart) => restarted(command, restart))
  ]),
  ...placed
]
