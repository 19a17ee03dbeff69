/** Stacks: what there is of each, and a Compose file that becomes one, once its plan was seen. */
import { signal } from "@preact/signals"
import { useState } from "preact/hooks"
import { act, call, mayOperate } from "../api.ts"
import { many } from "../describe.ts"
import { countOf, isStanding, services } from "../live.ts"
import type { Service } from "../objects.ts"
import { Badge, Card, Empty, Meter, Order, Reached, Same, sent } from "../ui.tsx"

const stackLabel = "com.docker.stack.namespace"

interface Difference {
  readonly field: string
  readonly before?: unknown
  readonly after?: unknown
}
interface Step {
  readonly action: "create" | "update" | "remove" | "unchanged" | "refused"
  readonly kind: string
  readonly name: string
  readonly differences: ReadonlyArray<Difference>
  readonly why?: string
}
interface Plan {
  readonly digest: string
  readonly stack: string
  readonly steps: ReadonlyArray<Step>
  readonly placement: ReadonlyArray<{
    readonly service: string
    readonly nodes: Readonly<Record<string, number>>
    readonly waiting?: { readonly tasks: number; readonly why: string }
  }>
  readonly warnings: ReadonlyArray<string>
}
interface Asked {
  readonly name: string
  readonly text: string
  readonly prune: boolean
}

// They outlive the page: whoever looks at a service meanwhile finds them again.
const asked = signal<Asked>({ name: "", text: "", prune: false })
const seen = signal<{ readonly of: Asked; readonly plan?: Plan; readonly problem?: string } | undefined>(
  undefined
)

export const Stacks = () => (
  <>
    <h1>Stacks</h1>
    <Present />
    <div class="columns">
      <Draft />
      <Foreseen />
    </div>
  </>
)

function Present() {
  const stacks = new Map<string, Array<Service>>()
  for (const service of services.value) {
    const name = service.Spec.Labels?.[stackLabel]
    if (name !== undefined) stacks.set(name, [...(stacks.get(name) ?? []), service])
  }
  if (stacks.size === 0) return <Empty>No service is of a stack.</Empty>
  return (
    <>
      {[...stacks].map(([name, own]) => (
        <Card key={name} title={name} note={<Whole services={own} />}>
          <ul class="rows">
            {own.map((service) => {
              const found = countOf(service)
              return (
                <li key={service.ID}>
                  <a class="row" href={`#/service/${service.ID}`}>
                    <strong class="row-name">{service.Spec.Name}</strong>
                    <Reached {...found} />
                    <Meter
                      value={found.reached}
                      of={found.wanted}
                      label={`${service.Spec.Name}: tasks ${found.word}`}
                    />
                  </a>
                </li>
              )
            })}
          </ul>
          <div class="orders">
            <Order
              label={`Remove ${name}`}
              kind="danger"
              command={`docker stack rm ${name}`}
              did={`${name} is removed`}
              onAct={() => call("POST", "/dashboard/stack/remove", { name })}
              sure={`Remove ${name} with its networks, secrets and configs?`}
            />
          </div>
        </Card>
      ))}
    </>
  )
}

function Whole({ services }: { services: ReadonlyArray<Service> }) {
  const short = services.filter(isStanding("bad")).length
  const jobs = services.filter(isStanding("waiting")).length
  if (short > 0)
    return (
      <Badge tone="bad">
        {short} of {services.length} services are not
      </Badge>
    )
  return jobs > 0 ? (
    <Badge tone="waiting">{many(jobs, "job")} under way, all else as asked</Badge>
  ) : (
    <Badge tone="good">all {services.length} services are as asked</Badge>
  )
}

function Draft() {
  const [busy, setBusy] = useState(false)
  const now = asked.value
  const change = (more: Partial<Asked>): void => {
    asked.value = { ...now, ...more }
  }
  const plan = async (): Promise<void> => {
    setBusy(true)
    try {
      seen.value = { of: now, plan: await call<Plan>("POST", "/dashboard/stack/plan", now) }
    } catch (cause) {
      seen.value = { of: now, problem: (cause as Error).message }
    }
    setBusy(false)
  }
  const shown = seen.value?.of === now ? seen.value.plan : undefined
  const isRefused = shown?.steps.some(({ action }) => action === "refused") === true
  const deploy = (): Promise<void> =>
    act(`${shown?.stack} is deployed`, async () => {
      await call("POST", "/dashboard/stack/deploy", { ...now, digest: shown?.digest })
      await plan()
    })
  return (
    <Card title="A Compose file">
      <form class="draft" onSubmit={sent(() => void plan())}>
        <label>
          <span>Stack</span>
          <input
            value={now.name}
            placeholder="name: in the file"
            spellcheck={false}
            onInput={(event) => change({ name: event.currentTarget.value })}
          />
        </label>
        <label>
          <span>Compose file</span>
          <textarea
            rows={16}
            value={now.text}
            spellcheck={false}
            placeholder={"services:\n  web:\n    image: nginx"}
            onInput={(event) => change({ text: event.currentTarget.value })}
          />
        </label>
        <label class="tick">
          <input
            type="checkbox"
            checked={now.prune}
            onChange={(event) => change({ prune: event.currentTarget.checked })}
          />
          Remove what the stack has and the file does not
        </label>
        <div class="orders">
          <button type="submit" disabled={busy || now.text.trim() === ""}>
            Plan
          </button>
          <button
            type="button"
            class="primary"
            disabled={busy || !mayOperate() || shown === undefined || isRefused}
            title={mayOperate() ? "what the plan beside it says" : "your role may only look"}
            onClick={() => void deploy()}
          >
            Deploy
          </button>
        </div>
        <Same
          command={`docker stack deploy${now.prune ? " --prune" : ""} -c compose.yaml ${shown?.stack ?? (now.name || "NAME")}`}
        />
      </form>
    </Card>
  )
}

const tones = { create: "good", update: "waiting", remove: "bad", refused: "bad", unchanged: "done" } as const

function Foreseen() {
  const { of, plan, problem } = seen.value ?? {}
  if (of === undefined)
    return <Empty>The plan of a Compose file comes here, before anything is changed.</Empty>
  return (
    <Card title="Plan" note={of === asked.value ? null : <small>of what was there before</small>}>
      {problem === undefined ? null : <pre class="bad">{problem}</pre>}
      {plan?.warnings.map((warning) => (
        <p key={warning}>
          <Badge tone="waiting">{warning}</Badge>
        </p>
      ))}
      <ul class="rows plan">
        {plan?.steps.map(({ action, kind, name, why, differences }) => (
          <li key={`${kind} ${name}`}>
            <Badge tone={tones[action]}>{action}</Badge> {kind} <strong>{name}</strong>
            {why === undefined ? null : <small class="says"> {why}</small>}
            {differences.length === 0 ? null : (
              <dl>
                {differences.map(({ field, before, after }) => (
                  <div key={field}>
                    <dt>{field}</dt>
                    <dd>
                      {shownValue(before)} → {shownValue(after)}
                    </dd>
                  </div>
                ))}
              </dl>
            )}
          </li>
        ))}
      </ul>
      {plan?.placement.map(({ service, nodes, waiting }) => (
        <p key={service}>
          <strong>{service}</strong>:{" "}
          {[
            ...Object.entries(nodes).map(([node, count]) => `${count} on ${node}`),
            ...(waiting === undefined ? [] : [`${waiting.tasks} would wait: ${waiting.why}`])
          ].join(", ")}
        </p>
      ))}
    </Card>
  )
}

const shownValue = (value: unknown): string =>
  value === undefined ? "nothing" : typeof value === "string" ? value : JSON.stringify(value)
