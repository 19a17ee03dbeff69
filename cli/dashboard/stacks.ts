/** Reads, plans and carries out pasted Compose files as `troupe plan` and `troupe up` do theirs. */
import { createHash } from "node:crypto"
import { Effect } from "effect"
import type { InName, StackAsked, Stacks } from "#actors/gateway/dashboard/stacks.ts"
import { type Api, apiBy } from "#cli/client.ts"
import { carryOut, nothingIn, prepare, refusals } from "#cli/compose/apply.ts"
import { foresee } from "#cli/compose/foresee.ts"
import { loadProject, pasted } from "#cli/compose/load.ts"
import { type Step, showSteps } from "#cli/compose/plan.ts"
import { type Desired, translate } from "#cli/compose/translate.ts"
import { showProblem } from "#cli/compose/value.ts"

const read = ({ text, name }: StackAsked): { desired: Desired; warnings: ReadonlyArray<string> } => {
  const project = loadProject({ ...pasted(text), projectName: name })
  return { desired: translate(project), warnings: project.warnings.map(showProblem) }
}

const planned = Effect.fnUntraced(function* (api: Api, desired: Desired, prune: boolean) {
  const { steps, present } = yield* prepare(api, desired, prune)
  const told = steps.map(({ body: _, ...step }) => step)
  return {
    steps,
    told: { stack: desired.stack, steps: told, placement: foresee(steps, present, Date.now()) }
  }
})

/** Stands for all that is asked for and all that would be done. */
const digestOf = ({ text }: StackAsked, { stack }: Desired, steps: ReadonlyArray<Step>): string =>
  createHash("sha256")
    .update(JSON.stringify([stack, text, showSteps(steps)]))
    .digest("hex")

const plan = (asked: StackAsked, by: InName) =>
  Effect.gen(function* () {
    const { desired, warnings } = read(asked)
    const { steps, told } = yield* planned(apiBy(by), desired, asked.prune)
    return { ...told, warnings, digest: digestOf(asked, desired, steps) }
  })

const deploy = (asked: StackAsked, by: InName) =>
  Effect.gen(function* () {
    const api = apiBy(by)
    const { desired, warnings } = read(asked)
    const { steps, told } = yield* planned(api, desired, asked.prune)
    if (asked.digest !== digestOf(asked, desired, steps))
      return yield* Effect.fail(
        new Error("this is not what was planned, or the cluster has changed since: plan again")
      )
    const refused = refusals(steps)
    if (refused.length > 0) return yield* Effect.fail(new Error(refused.join("\n")))
    yield* carryOut(api, steps)
    return { ...told, warnings }
  })

const remove = (stack: string, by: InName) =>
  Effect.gen(function* () {
    const api = apiBy(by)
    const { steps, told } = yield* planned(api, nothingIn(stack), true)
    yield* carryOut(api, steps)
    return told
  })

export const stacks: Stacks = {
  plan: (asked, by) => Effect.runPromise(plan(asked, by)),
  deploy: (asked, by) => Effect.runPromise(deploy(asked, by)),
  remove: (stack, by) => Effect.runPromise(remove(stack, by))
}
