/** What the cluster would refuse of a plan's services, told before anything is changed: by its own checks. */
import { checkExtras } from "#actors/gateway/validate/check-extras.ts"
import { checkServiceLabels } from "#actors/gateway/validate/check-labels.ts"
import { checkService, checkShape } from "#actors/gateway/validate/check-service.ts"
import { completeService } from "#actors/gateway/validate/complete-service.ts"
import { portTaken, routeTaken } from "#actors/ledger/apply/apply-services.ts"
import { featureLevel } from "#actors/ledger/features.ts"
import { LedgerTables } from "#actors/ledger/tables.ts"
import { plainWords, type Refusal } from "#actors/model/errors.ts"
import { httpRouteOf } from "#actors/model/http-route.ts"
import type { Service } from "#actors/model/objects.ts"
import type { ServiceSpec, SwarmSpec } from "#actors/model/spec.ts"
import type { Present, Step } from "#cli/compose/plan.ts"
import { withIds } from "#cli/compose/with-ids.ts"

/** The same steps; services that cannot be are refused, one that takes what an earlier one of them has as well. */
export function vet(steps: ReadonlyArray<Step>, present: Present): ReadonlyArray<Step> {
  const tables = new LedgerTables()
  const specs = new Map(present.services.map(({ ID, Spec }) => [ID, Spec]))
  for (const service of present.services) tables.put("service", service as unknown as Service)
  return steps.map((step) => {
    if (step.kind !== "service" || (step.action !== "create" && step.action !== "update")) return step
    const id = step.id ?? step.name
    const spec = named(step.body as ServiceSpec)
    const refusal = whyNot(tables, id, spec, specs.get(id), present.swarm)
    if (refusal !== undefined) return { ...step, action: "refused", why: plainWords(refusal) }
    tables.put("service", { ID: id, Spec: spec } as Service)
    return step
  })
}

/** Secrets and configs get their ids when they are made; until then their names stand for them. */
function named(spec: ServiceSpec): ServiceSpec {
  const itself = (name = ""): string => name
  const { ContainerSpec: container = {}, ...template } = spec.TaskTemplate ?? {}
  const ContainerSpec = withIds(container, { secret: itself, config: itself })
  return { ...spec, TaskTemplate: { ...template, ContainerSpec } }
}

/** The ledger has the last word: only what holds whatever else changes meanwhile is refused here. */
function whyNot(
  tables: LedgerTables,
  id: string,
  spec: ServiceSpec,
  before: ServiceSpec | undefined,
  swarm: SwarmSpec | undefined
): Refusal | undefined {
  const completed = completeService(spec)
  const refusal = checkShape(spec) ?? checkService(completed) ?? checkServiceLabels(completed, before)
  if (refusal !== undefined) return refusal
  const route = httpRouteOf(completed)
  return (
    (swarm && checkExtras(completed, swarm)) ??
    (route && routeTaken(tables, featureLevel, id, route)) ??
    portTaken(tables, featureLevel, id, completed)
  )
}
