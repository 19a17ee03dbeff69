/** A service made by a form: what the docker CLI's most used flags say, with the command that does the same. */
import { signal } from "@preact/signals"
import { mayOperate, tell } from "../api.ts"
import { linesOf } from "../lines.ts"
import { createService } from "../orders.ts"
import type { Kind, Resource } from "../resources.ts"
import {
  type Choices,
  createCommand,
  emptyService,
  isJob,
  type ServiceDraft,
  saidOfService,
  specOf
} from "../service-draft.ts"
import { Card, sent } from "../ui.tsx"
import { Field, Problem } from "./field.tsx"
import { Foot, useSending } from "./form.tsx"
import { useResources } from "./resources.tsx"

// It outlives the page: whoever looks for a network's name meanwhile finds it again.
const drafted = signal<ServiceDraft>(emptyService)

const everyMs = 10_000
const useChoices = (kind: Kind): ReadonlyArray<Resource> =>
  (useResources(kind, 0, everyMs) ?? []).filter(({ isOwn, isLocal }) => !isOwn && !isLocal)

export function CreateService() {
  const choices: Choices = {
    networks: useChoices("network"),
    secrets: useChoices("secret"),
    configs: useChoices("config")
  }
  const { said, isBusy, send } = useSending(saidOfService)
  const may = mayOperate()
  const draft = drafted.value
  const change = (more: Partial<ServiceDraft>): void => {
    drafted.value = { ...draft, ...more }
  }
  const create = async (): Promise<void> => {
    const id = await createService(specOf(draft, choices))
    tell(`${draft.name} is made`)
    drafted.value = emptyService
    location.hash = `#/service/${id}`
  }
  const own = { draft, change, said, disabled: !may }
  const line = { ...own, rows: 3 }
  return (
    <>
      <p class="trail">
        <a href="#/">Cluster</a>
      </p>
      <h1>Create a service</h1>
      <form onSubmit={sent(() => void send(create))}>
        <Card title="What runs">
          <div class="fields">
            <Field {...own} name="image" label="Image" placeholder="nginx:1.27" />
            <Field {...own} name="name" label="Name" placeholder="web" />
            <Field
              {...own}
              name="mode"
              label="Mode"
              options={[
                ["replicated", "replicated: so many tasks"],
                ["global", "global: one on every node"],
                ["replicated-job", "replicated job: so many, each to its end"],
                ["global-job", "global job: one on every node, to its end"]
              ]}
            />
            {draft.mode.startsWith("global") ? null : (
              <Field {...own} name="replicas" label={isJob(draft) ? "Completions in all" : "Replicas"} />
            )}
            {draft.mode === "replicated-job" ? (
              <Field {...own} name="concurrent" label="At a time, at most" placeholder="all of them" />
            ) : null}
            <Field {...own} wide name="args" label="Arguments" />
            <Field {...line} name="env" label="Variables" placeholder="NAME=VALUE, a line each" />
          </div>
        </Card>
        <Card title="What it reaches and has">
          <div class="fields">
            <Field
              {...line}
              half
              name="ports"
              label="Published ports"
              placeholder="8080:80/tcp, a line each"
            />
            <Field
              {...line}
              half
              name="mounts"
              label="Mounts"
              placeholder="data:/data or /srv:/srv:ro, a line each"
            />
            {(["networks", "secrets", "configs"] as const).map((kind) => (
              <Pick
                key={kind}
                kind={kind}
                names={choices[kind].map(({ name }) => name)}
                value={draft[kind]}
                disabled={!may}
                wrong={said[kind]}
                onChange={(value) => change({ [kind]: value })}
              />
            ))}
          </div>
        </Card>
        <Card title="Where, how much, and how it is kept well">
          <div class="fields">
            <Field {...own} name="cpus" label="CPUs at most" placeholder="no limit" />
            <Field {...own} name="memory" label="Memory at most" placeholder="no limit, or 64M" />
            <Field
              {...line}
              name="constraints"
              label="Constraints"
              placeholder="node.role==worker, a line each"
            />
            <Field {...own} name="health" label="Health check" placeholder="curl -f localhost" />
            <Field {...own} name="interval" label="Checked every" placeholder="30s" />
            {isJob(draft) ? null : (
              <>
                <Field {...own} name="parallelism" label="Updated at a time" />
                <Field {...own} name="delay" label="Time between" placeholder="none, or 10s" />
                <Field
                  {...own}
                  name="order"
                  label="Order"
                  options={[
                    ["stop-first", "stop the old one first"],
                    ["start-first", "start the new one first"]
                  ]}
                />
                <Field
                  {...own}
                  name="failure"
                  label="Where an update fails"
                  options={[
                    ["pause", "pause"],
                    ["continue", "continue"],
                    ["rollback", "roll back"]
                  ]}
                />
              </>
            )}
            <Field {...own} rows={2} name="labels" label="Labels" placeholder="KEY=VALUE, a line each" />
          </div>
        </Card>
        <Card>
          <Foot
            said={said}
            label="Create"
            title="create the service"
            may={may}
            isReady={!isBusy && draft.image.trim() !== "" && draft.name.trim() !== ""}
            command={createCommand(draft)}
          >
            {Object.keys(said).length === 0 ? null : <span class="error">not yet: see above</span>}
          </Foot>
        </Card>
      </form>
    </>
  )
}

function Pick(props: {
  readonly kind: keyof Choices
  readonly names: ReadonlyArray<string>
  /** Those chosen, a line each. */
  readonly value: string
  readonly disabled: boolean
  readonly wrong: string | undefined
  readonly onChange: (value: string) => void
}) {
  const { kind, names, value, disabled, wrong, onChange } = props
  const chosen = linesOf(value)
  return (
    <fieldset class="ticks">
      <legend>{kind.charAt(0).toUpperCase() + kind.slice(1)}</legend>
      {names.length === 0 ? (
        <span class="faint">
          none yet: <a href={`#/${kind}`}>make one</a>
        </span>
      ) : null}
      {names.map((name) => (
        <label key={name} class="tick">
          <input
            type="checkbox"
            disabled={disabled}
            checked={chosen.includes(name)}
            onChange={({ currentTarget: { checked } }) =>
              onChange((checked ? [...chosen, name] : chosen.filter((other) => other !== name)).join("\n"))
            }
          />
          {name}
        </label>
      ))}
      <Problem said={wrong} />
    </fieldset>
  )
}
