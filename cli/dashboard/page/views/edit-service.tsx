/** What is changed most of a service that is there, with what that comes to before it is applied. */
import { useState } from "preact/hooks"
import { call, mayOperate, tell } from "../api.ts"
import type { Service, ServiceSpec } from "../objects.ts"
import type { Said } from "../said.ts"
import {
  type Changed,
  changesOf,
  type Edit,
  editOf,
  type FieldName,
  type Spec,
  updateCommand,
  withEdit
} from "../service-draft.ts"
import { Empty, Same } from "../ui.tsx"
import { toSaid } from "./create-service.tsx"
import { Field } from "./field.tsx"

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

export function EditService({ service }: { service: Service }) {
  const [before, setBefore] = useState<Before>()
  const [draft, setDraft] = useState<Edit>()
  const [seen, setSeen] = useState<Edit>()
  const [said, setSaid] = useState<Said<FieldName>>({})
  const [isBusy, setBusy] = useState(false)
  const {
    ID,
    Spec: { Name }
  } = service
  const trying = async (doing: () => Promise<void>): Promise<void> => {
    setBusy(true)
    setSaid({})
    try {
      await doing()
    } catch (cause) {
      setSaid(toSaid(cause))
    }
    setBusy(false)
  }
  const open = (): Promise<void> =>
    trying(async () => {
      const { Version, Spec } = await call<Service>("GET", `/services/${ID}`)
      const spec = Spec as Whole
      const edit = editOf(spec)
      setBefore({ version: Version.Index, spec, edit })
      setDraft(edit)
      setSeen(undefined)
    })
  const close = (): void => {
    setBefore(undefined)
    setDraft(undefined)
    setSeen(undefined)
    setSaid({})
  }
  if (before === undefined || draft === undefined)
    return (
      <>
        <div class="order">
          <button
            type="button"
            disabled={!mayOperate() || isBusy}
            title={mayOperate() ? "variables, ports, limits, constraints, labels" : "your role may only look"}
            onClick={() => void open()}
          >
            Edit
          </button>
          <span class="faint">variables, ports, limits, constraints, labels</span>
        </div>
        {said[""] === undefined ? null : <p class="error">{said[""]}</p>}
      </>
    )
  const change = (more: Partial<Edit>): void => {
    setDraft({ ...draft, ...more })
    setSeen(undefined)
  }
  const changes = changesOf(before.edit, draft)
  const show = (): void =>
    void trying(async () => {
      withEdit(before.spec, draft)
      setSeen(draft)
    })
  const apply = (): void =>
    void trying(async () => {
      await call(
        "POST",
        `/services/${ID}/update?version=${before.version}`,
        withEdit(before.spec, draft)
      ).catch((cause: Error) => {
        throw /out of sequence/.test(cause.message)
          ? new Error("The service has been changed meanwhile: close this, and edit what it is now")
          : cause
      })
      tell(`${Name} is changed`)
      close()
    })
  const own = { draft, change, said, disabled: isBusy }
  const line = { ...own, rows: 4, half: true }
  return (
    <form
      class="fields edit"
      aria-label={`Edit ${Name}`}
      onSubmit={(event) => {
        event.preventDefault()
        show()
      }}
    >
      <Field {...line} name="env" label="Variables" placeholder="NAME=VALUE, a line each" />
      <Field {...line} name="ports" label="Published ports" placeholder="8080:80/tcp, a line each" />
      <Field {...line} name="constraints" label="Constraints" placeholder="node.role==worker, a line each" />
      <Field {...line} name="labels" label="Labels" placeholder="KEY=VALUE, a line each" />
      <Field {...own} name="cpus" label="CPUs at most" placeholder="no limit" />
      <Field {...own} name="memory" label="Memory at most" placeholder="no limit, or 64M" />
      {said[""] === undefined ? null : (
        <p class="error wide" role="alert">
          {said[""]}
        </p>
      )}
      {seen === undefined ? null : <Difference changes={changes} />}
      <div class="choices wide">
        <button type="submit" disabled={isBusy || changes.length === 0}>
          Show the changes
        </button>
        <button
          type="button"
          class="primary"
          disabled={isBusy || seen === undefined || changes.length === 0}
          onClick={apply}
        >
          Apply
        </button>
        <button type="button" class="quiet" onClick={close}>
          Close
        </button>
      </div>
      <p class="wide">
        <Same command={updateCommand(Name, changes)} />
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
