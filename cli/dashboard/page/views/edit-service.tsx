/** What is changed most of a service that is there, with what that comes to before it is applied. */
import { useState } from "preact/hooks"
import { call, mayOperate, tell } from "../api.ts"
import type { Service, ServiceSpec } from "../objects.ts"
import {
  type Changed,
  changesOf,
  type Edit,
  editOf,
  type Spec,
  saidOfService,
  updateCommand,
  withEdit
} from "../service-draft.ts"
import { Empty, Same, sent } from "../ui.tsx"
import { Field } from "./field.tsx"
import { Refused, useSending } from "./form.tsx"

type Whole = ServiceSpec & Spec
/** What was there when the form was opened: only that is changed. */
interface Before {
  readonly version: number
  readonly spec: Whole
  readonly edit: Edit
}

const titles: Readonly<Record<Changed["field"], string>> = {
  env: "Variables",
  ports: "Published ports",
  constraints: "Constraints",
  labels: "Labels",
  cpus: "CPUs at most",
  memory: "Memory at most"
}

export function EditService({ service: { ID, Spec } }: { service: Service }) {
  const [before, setBefore] = useState<Before>()
  const { said, isBusy, send } = useSending(saidOfService)
  if (before !== undefined)
    return <Form id={ID} name={Spec.Name} before={before} onClose={() => setBefore(undefined)} />
  const open = async (): Promise<void> => {
    const found = await call<Service>("GET", `/services/${ID}`)
    const spec = found.Spec as Whole
    setBefore({ version: found.Version.Index, spec, edit: editOf(spec) })
  }
  return (
    <>
      <div class="order">
        <button
          type="button"
          disabled={!mayOperate() || isBusy}
          title={mayOperate() ? "variables, ports, limits, constraints, labels" : "your role may only look"}
          onClick={() => void send(open)}
        >
          Edit
        </button>
        <span class="faint">variables, ports, limits, constraints, labels</span>
      </div>
      <Refused said={said} />
    </>
  )
}

function Form(props: {
  readonly id: string
  readonly name: string
  readonly before: Before
  readonly onClose: () => void
}) {
  const { id, name, before, onClose } = props
  const [draft, setDraft] = useState(before.edit)
  const [isSeen, setSeen] = useState(false)
  const { said, isBusy, send } = useSending(saidOfService)
  const change = (more: Partial<Edit>): void => {
    setDraft({ ...draft, ...more })
    setSeen(false)
  }
  const changes = changesOf(before.edit, draft)
  const show = async (): Promise<void> => {
    withEdit(before.spec, draft)
    setSeen(true)
  }
  const apply = async (): Promise<void> => {
    await call(
      "POST",
      `/services/${id}/update?version=${before.version}`,
      withEdit(before.spec, draft)
    ).catch((cause: Error) => {
      throw /out of sequence/.test(cause.message)
        ? new Error("The service has been changed meanwhile: close this, and edit what it is now")
        : cause
    })
    tell(`${name} is changed`)
    onClose()
  }
  const own = { draft, change, said, disabled: isBusy }
  const line = { ...own, rows: 4, half: true }
  return (
    <form class="fields edit" aria-label={`Edit ${name}`} onSubmit={sent(() => void send(show))}>
      <Field {...line} name="env" label="Variables" placeholder="NAME=VALUE, a line each" />
      <Field {...line} name="ports" label="Published ports" placeholder="8080:80/tcp, a line each" />
      <Field {...line} name="constraints" label="Constraints" placeholder="node.role==worker, a line each" />
      <Field {...line} name="labels" label="Labels" placeholder="KEY=VALUE, a line each" />
      <Field {...own} name="cpus" label="CPUs at most" placeholder="no limit" />
      <Field {...own} name="memory" label="Memory at most" placeholder="no limit, or 64M" />
      <Refused said={said} />
      {isSeen ? <Difference changes={changes} /> : null}
      <div class="choices wide">
        <button type="submit" disabled={isBusy || changes.length === 0}>
          Show the changes
        </button>
        <button
          type="button"
          class="primary"
          disabled={isBusy || !isSeen || changes.length === 0}
          onClick={() => void send(apply)}
        >
          Apply
        </button>
        <button type="button" class="quiet" onClick={onClose}>
          Close
        </button>
      </div>
      <p class="wide">
        <Same command={updateCommand(name, changes)} />
      </p>
    </form>
  )
}

const Difference = ({ changes }: { changes: ReadonlyArray<Changed> }) =>
  changes.length === 0 ? (
    <Empty>Nothing would change.</Empty>
  ) : (
    <dl class="difference wide" aria-label="Changes">
      {changes.map(({ field, gone, come }) => (
        <div key={field}>
          <dt>{titles[field]}</dt>
          {gone.map((line) => (
            <dd key={`- ${line}`} class="gone">
              <span aria-hidden="true">−</span> <span class="unseen">without</span> {line}
            </dd>
          ))}
          {come.map((line) => (
            <dd key={`+ ${line}`} class="come">
              <span aria-hidden="true">+</span> <span class="unseen">with</span> {line}
            </dd>
          ))}
        </div>
      ))}
    </dl>
  )
