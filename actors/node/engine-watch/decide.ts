/** Events to their tasks, surveys and facts to the session, and patience with an Engine that is away. */

import { clusterLabel, nodeLabel, taskLabel } from "#actors/drivers/labels.ts"
import type { KeeperMessage } from "#actors/logs/keeper/protocol.ts"
import type { NodeDescription } from "#actors/model/objects.ts"
import { backOff } from "#actors/node/back-off.ts"
import type { WatchAction, WatchMessage } from "#actors/node/engine-watch/protocol.ts"
import type { SessionMessage } from "#actors/node/session/protocol.ts"
import type { TaskMessage } from "#actors/task/protocol.ts"
import { type CommonAction, later, tell } from "#runtime/actions.ts"
import { address, isToken } from "#runtime/address.ts"
import { never } from "#runtime/assert.ts"
import { type Moment, type Step, stay } from "#runtime/behaviour.ts"

/** Asking an absent Engine costs next to nothing, and tasks wait for it. */
const patience = { firstMs: 100, mostMs: 2_000 }
/** Events are the rule; a survey only catches what no event told. */
const surveyEveryMs = 60_000
const describeEveryMs = 30_000
const pingEveryMs = 1_000
/**
 * After so long without an answer its tasks are better off elsewhere. An Engine that is started again answers sooner, and
 * what runs in its containers goes on meanwhile.
 */
const silentAfterMs = 8_000

export interface WatchProps {
  readonly clusterId: string
}

export interface Watch {
  readonly clusterId: string
  readonly following: boolean
  readonly surveying: boolean
  /** Somebody asked for a look while one was underway, which may have begun too early. */
  readonly surveyAgain: boolean
  readonly describing: boolean
  readonly description: NodeDescription | undefined
  /** What the session was told last; it has to be told once in each life. */
  readonly executor: "unknown" | "answers" | "silent"
  /** When it first did not answer, after which it never did. */
  readonly silentSince: number | undefined
  /** Failures in a row of anything that was asked of the executor. */
  readonly attempt: number
  readonly trouble: string | undefined
}

type Result = Step<Watch, WatchAction>

export function start({ clusterId }: WatchProps): Result {
  const watch: Watch = {
    clusterId,
    following: false,
    surveying: false,
    surveyAgain: false,
    describing: false,
    description: undefined,
    executor: "unknown",
    silentSince: undefined,
    attempt: 0,
    trouble: undefined
  }
  const step = follow(watch)
  return { ...step, actions: [...step.actions, ping] }
}

export function decide(watch: Watch, message: WatchMessage, moment: Moment): Result {
  const { home } = moment.self
  switch (message._tag) {
    case "Look": {
      const step = survey(watch)
      return { ...step, actions: [...step.actions, ...standing(watch, home)] }
    }
    case "Occurred":
      return occurred(watch, message.event, home)
    case "Lost":
      return failed({ ...watch, following: false }, message.reason, "follow", { _tag: "FollowAgain" }, moment)
    case "FollowAgain":
      return watch.following ? stay(watch) : follow(watch)
    case "Surveyed": {
      const known: Watch = { ...watch, surveying: false, attempt: 0, trouble: undefined }
      const told = toSession(home, { _tag: "Surveyed", containers: message.containers })
      const kept = toKeeper(home, { _tag: "Surveyed", containers: message.containers })
      if (watch.surveyAgain) {
        const step = survey({ ...known, surveyAgain: false })
        return { ...step, actions: [told, kept, ...step.actions] }
      }
      return stay(known, told, kept, later("survey", spread(surveyEveryMs, moment), lookAgain))
    }
    case "NotSurveyed":
      return failed({ ...watch, surveying: false }, message.reason, "survey", lookAgain, moment)
    case "LookAgain":
      return survey(watch)
    case "Described":
      return stay(
        { ...watch, describing: false, description: message.description, attempt: 0 },
        described(home, message.description),
        later("describe", spread(describeEveryMs, moment), describeAgain)
      )
    case "NotDescribed":
      return failed({ ...watch, describing: false }, message.reason, "describe", describeAgain, moment)
    case "DescribeAgain":
      return describe(watch)
    case "Pinged":
      return pinged(watch, moment)
    case "NotPinged":
      return notPinged(watch, message.reason, moment)
    case "PingAgain":
      return stay(watch, ping)
    default:
      return never(message)
  }
}

/** Listens first and looks then, so that nothing falls between the two. */
function follow(watch: Watch): Result {
  const first = survey({ ...watch, following: true, surveyAgain: watch.surveying })
  const second = describe(first.state)
  return { state: second.state, actions: [{ _tag: "Follow" }, ...first.actions, ...second.actions] }
}

const survey = (watch: Watch): Result =>
  watch.surveying
    ? stay({ ...watch, surveyAgain: true })
    : stay<Watch, WatchAction>({ ...watch, surveying: true }, { _tag: "Survey" })

const describe = (watch: Watch): Result =>
  watch.describing
    ? stay(watch)
    : stay<Watch, WatchAction>({ ...watch, describing: true }, { _tag: "DescribeMachine" })

function occurred(
  watch: Watch,
  event: Extract<WatchMessage, { _tag: "Occurred" }>["event"],
  home: string
): Result {
  const { labels } = event
  const taskId = labels[taskLabel]
  if (taskId === undefined || !isToken(taskId)) return stay(watch)
  if (labels[clusterLabel] !== watch.clusterId || labels[nodeLabel] !== home) return stay(watch)
  const told = tell(address(home, "task", taskId), { _tag: "Happened", event } satisfies TaskMessage)
  const isForKeeper = event._tag === "Started" || event._tag === "Destroyed"
  return stay(watch, told, ...(isForKeeper ? [toKeeper(home, { _tag: "Happened", event })] : []))
}

function pinged(watch: Watch, moment: Moment): Result {
  const known: Watch = { ...watch, executor: "answers", silentSince: undefined }
  const again = later("ping", spread(pingEveryMs, moment), pingAgain)
  if (watch.executor === "answers") return stay(known, again)
  const { home } = moment.self
  return stay(known, again, toSession(home, { _tag: "ExecutorAnswers" }), ...standing(known, home))
}

function notPinged(watch: Watch, reason: string, moment: Moment): Result {
  const { now, self } = moment
  const silentSince = watch.silentSince ?? now
  const again = later("ping", spread(pingEveryMs, moment), pingAgain)
  if (watch.executor === "silent" || now - silentSince < silentAfterMs)
    return stay({ ...watch, silentSince }, again)
  const told = toSession(self.home, { _tag: "ExecutorSilent", reason })
  return stay({ ...watch, silentSince, executor: "silent", trouble: reason }, again, told)
}

/** What a session has to know before it may take tasks: nothing while nobody could run them. */
const standing = ({ executor, description }: Watch, home: string): ReadonlyArray<CommonAction> =>
  executor === "silent" || description === undefined ? [] : [described(home, description)]

function failed(watch: Watch, reason: string, key: string, again: WatchMessage, { fresh }: Moment): Result {
  // All three fail together when the Engine goes; the lost connection counts for them.
  const attempt = again._tag === "FollowAgain" ? watch.attempt + 1 : Math.max(1, watch.attempt)
  return stay({ ...watch, attempt, trouble: reason }, later(key, backOff(attempt, patience, fresh), again))
}

const lookAgain: WatchMessage = { _tag: "LookAgain" }
const describeAgain: WatchMessage = { _tag: "DescribeAgain" }
const pingAgain: WatchMessage = { _tag: "PingAgain" }
const ping: WatchAction = { _tag: "Ping" }

/** Up to a tenth earlier, so that the nodes of a cluster do not all look at once. */
const spread = (everyMs: number, { fresh }: Moment): number =>
  Math.ceil(everyMs * (0.9 + fresh.fraction() / 10))

const toSession = (home: string, message: SessionMessage): CommonAction =>
  tell(address(home, "session", "main"), message)

const toKeeper = (home: string, message: KeeperMessage): CommonAction =>
  tell(address(home, "log-keeper", "main"), message)

const described = (home: string, description: NodeDescription): CommonAction =>
  toSession(home, { _tag: "Described", description })
