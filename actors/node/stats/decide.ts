/** Once a second, while there is anything to measure: what each task used since the last time, told to the leader. */
import type { FromNode } from "#actors/node/protocol.ts"
import type { Reading, StatsAction, StatsMessage, Watched } from "#actors/node/stats/protocol.ts"
import { later, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

export interface StatsState {
  readonly session: string
  readonly tasks: ReadonlyArray<Watched>
  /** Reading, or waiting to read again. */
  readonly busy: boolean
  readonly before: ReadonlyMap<string, Reading>
}

type StatsStep = Step<StatsState, StatsAction>
const stay = stayWith<StatsState, StatsAction>
const everyMs = 1_000

export const start = (_props: undefined, _moment: Moment): StatsStep =>
  stay({ session: "", tasks: [], busy: false, before: new Map() })

export function decide(state: StatsState, message: StatsMessage, moment: Moment): StatsStep {
  switch (message._tag) {
    case "Measure": {
      const next = { ...state, session: message.session, tasks: message.tasks }
      return state.busy ? stay(next) : readNow(next)
    }
    case "ReadAgain":
      return readNow(state)
    case "Read": {
      const before = new Map(message.readings.map((reading) => [reading.id, reading]))
      const next = later("read", everyMs, { _tag: "ReadAgain" } satisfies StatsMessage)
      const tasks = message.readings.flatMap((reading) => usage(reading, state.before.get(reading.id)))
      if (tasks.length === 0) return stay({ ...state, before }, next)
      const used: FromNode = { _tag: "Used", session: state.session, tasks }
      const { home } = moment.self
      return stay({ ...state, before }, tell(address("leader", "node", home), used), next)
    }
  }
}

const readNow = (state: StatsState): StatsStep =>
  state.tasks.length === 0
    ? stay({ ...state, busy: false, before: new Map() })
    : stay({ ...state, busy: true }, { _tag: "ReadNow", tasks: state.tasks })

/** A first reading says nothing of now, and neither does one of a container that began anew. */
function usage(now: Reading, before: Reading | undefined) {
  const elapsedMs = before === undefined ? 0 : now.at - before.at
  const nanos = now.cpuNanos - (before?.cpuNanos ?? 0)
  if (elapsedMs <= 0 || nanos < 0) return []
  return [{ id: now.id, cpu: nanos / 1e6 / elapsedMs, memory: now.memoryBytes }]
}

export const summary = ({ tasks }: StatsState): string => `measures ${tasks.length} tasks`
