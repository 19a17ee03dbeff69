/**
 * `GET /autoscale` and `GET /autoscale/NAME`: services that follow their load, what their labels ask for, and what was
 * decided last and why. Not the Engine's API. What is asked for is in the ledger, decisions are known to the leader alone.
 */
import { Cause, Effect, Exit } from "effect"
import type { Decision } from "#actors/autoscaler/choose.ts"
import { parsePolicy } from "#actors/autoscaler/parse-policy.ts"
import { asksForScaling } from "#actors/autoscaler/policy.ts"
import { type AutoscalerMessage, ExplainedAnswer } from "#actors/autoscaler/protocol.ts"
import { byId, current, findOrRefuse, type Gateway } from "#actors/gateway/gateway.ts"
import type { RouteSet } from "#actors/gateway/listener.ts"
import { splitVersion } from "#actors/gateway/negotiate.ts"
import { type Answer, ok, problem, refused, refusing, toResponse } from "#actors/gateway/response.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Refused } from "#actors/model/errors.ts"
import type { Service } from "#actors/model/objects.ts"
import { replicasOf } from "#actors/model/service-facts.ts"
import { toIso } from "#actors/model/time.ts"
import { address } from "#runtime/address.ts"
import type { SystemService } from "#runtime/system.ts"

export interface AutoscaleRoutesOptions {
  readonly gateway: Gateway
  readonly system: Pick<SystemService, "ask">
  /** On every answer. */
  readonly headers: () => Readonly<Record<string, string>>
}

const pattern = /^\/autoscale(?:\/([^/]+))?$/
/** A leader that lives answers within milliseconds; without its word the labels are worth showing, too. */
const withinMs = 1_000
const atOnce = 16

export function autoscaleRoutes({ gateway, system, headers }: AutoscaleRoutesOptions): RouteSet {
  const show = Effect.fnUntraced(function* (reader: LedgerReader, service: Service) {
    const question: AutoscalerMessage = { _tag: "Explain" }
    const said = yield* system
      .ask(address("leader", "autoscaler", service.ID), question, withinMs, ExplainedAnswer)
      .pipe(Effect.orElseSucceed(() => undefined))
    return {
      ...asked(reader, service),
      ...(said?.problem !== undefined && { Problem: said.problem }),
      ...(said?.now !== undefined && { Now: decided(said.now) }),
      Changes: (said?.changes ?? []).map(decided)
    }
  })

  const answer = Effect.fnUntraced(function* (name: string | undefined): Effect.fn.Return<Answer, Refused> {
    const reader = yield* current(gateway)
    if (name === undefined) {
      const services = byId(reader.all("service")).filter(({ Spec }) => asksForScaling(Spec))
      return ok(yield* Effect.forEach(services, (service) => show(reader, service), { concurrency: atOnce }))
    }
    const service = yield* findOrRefuse(reader, "service", name)
    if (!asksForScaling(service.Spec)) {
      const why = `service ${service.Spec.Name} does not follow its load: it has no label troupe.autoscale.*`
      return yield* refusing("notFound", why)
    }
    return ok(yield* show(reader, service))
  })

  return {
    owns: (method, path) => method === "GET" && pattern.test(path),
    fetch: async ({ url }) => {
      const name = pattern.exec(splitVersion(new URL(url).pathname).path)?.[1]
      const answered = answer(name === undefined ? undefined : decodeURIComponent(name)).pipe(
        Effect.catch(({ refusal }) => Effect.succeed(refused(refusal)))
      )
      const exit = await Effect.runPromiseExit(answered)
      return toResponse(Exit.isSuccess(exit) ? exit.value : problem(500, Cause.pretty(exit.cause)), headers())
    }
  }
}

/** What the service's labels ask for; of labels that cannot be meant, why. */
function asked(reader: LedgerReader, service: Service) {
  const running = [...reader.tasksOfService(service.ID)].filter(
    ({ Status, DesiredState }) => Status.State === "running" && DesiredState === "running"
  ).length
  const common = {
    ID: service.ID,
    Name: service.Spec.Name ?? service.ID,
    Replicas: replicasOf(service.Spec),
    Running: running
  }
  const policy = parsePolicy(service.Spec)
  if (policy === undefined || "problem" in policy) {
    return { ...common, ...(policy !== undefined && { Problem: policy.problem }), Targets: [], Schedule: [] }
  }
  return {
    ...common,
    Min: policy.min,
    Max: policy.max,
    Targets: policy.targets.map(({ name, metric, goal }) => ({ Name: name, Metric: metric, Goal: goal })),
    Schedule: policy.schedule.map(({ pattern: when, timeZone, replicas }) => ({
      Pattern: when,
      TimeZone: timeZone,
      Replicas: replicas
    })),
    Tolerance: policy.tolerance,
    PanicMs: policy.panicMs,
    WindowMs: policy.windowMs,
    StabiliseMs: policy.stabiliseMs
  }
}

const decided = ({ at, from, to, running, wanted, scheduled, why, votes }: Decision) => ({
  At: toIso(at),
  From: from,
  To: to,
  Running: running,
  Wanted: wanted,
  ...(scheduled !== undefined && { Scheduled: scheduled }),
  Why: why,
  Votes: votes.map(({ target, goal, mean, recent, wants, panics }) => ({
    Target: target,
    Goal: goal,
    ...(mean !== undefined && { Mean: mean }),
    ...(recent !== undefined && { Recent: recent }),
    ...(wants !== undefined && { Wants: wants }),
    Panics: panics
  }))
})
