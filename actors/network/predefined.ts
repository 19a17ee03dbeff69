/** Networks of the Engine itself, which nobody makes or removes. */
import { predefinedLabel } from "#actors/drivers/labels.ts"
import type { NetworkPlan } from "#actors/network/plan.ts"

/** True for `host`, `bridge` and `none`, which the leader marks with Swarm's own label. */
export const isPredefined = (plan: NetworkPlan): boolean => plan.labels[predefinedLabel] === "true"
