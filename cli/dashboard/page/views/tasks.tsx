/** Tasks of one service or one node, and a console in any of them. */
import { useState } from "preact/hooks"
import { mayOperate } from "../api.ts"
import { isWanted } from "../judge.ts"
import { nodeName, nodeOf } from "../live.ts"
import type { Task } from "../objects.ts"
import { ago, Badge, Card, Empty, Table, tone } from "../ui.tsx"
import { Console } from "./console.tsx"

type Of = "service" | "node"

function Row({ task, of, onConsole }: { task: Task; of: Of; onConsole: () => void }) {
  const node = task.NodeID === "" ? "no node yet" : nodeName(nodeOf(task.NodeID))
  return (
    <tr class={isWanted(task) ? "" : "past"}>
      <th scope="row">
        <a href={`#/task/${task.ID}`}>{task.Name}</a>
      </th>
      <td>
        <Badge tone={tone(task)}>{task.State}</Badge>
      </td>
      {of === "service" ? (
        <td>{task.NodeID === "" ? node : <a href={`#/node/${task.NodeID}`}>{node}</a>}</td>
      ) : null}
      <td class="faint">{ago(task.At)}</td>
      <td class="says">{task.Says}</td>
      <td>
        {task.State === "running" ? (
          <button
            type="button"
            class="small"
            aria-label={`Console in ${task.Name}`}
            title={
              mayOperate()
                ? `docker exec -it ${task.Name}.${task.ID} /bin/sh, on ${node}`
                : "your role may only look"
            }
            disabled={!mayOperate()}
            onClick={onConsole}
          >
            Console
          </button>
        ) : null}
      </td>
    </tr>
  )
}

/** Of a service, each with its node. */
export function Tasks({ tasks, note, of }: { tasks: ReadonlyArray<Task>; note?: string; of: Of }) {
  const [inConsole, setInConsole] = useState<Task>()
  const columns = ["Task", "State", ...(of === "service" ? ["Node"] : []), "Since", "Reason", "Console"]
  return (
    <>
      <Card title="Tasks" {...(note !== undefined && { note: <small class="faint">{note}</small> })}>
        {tasks.length === 0 ? (
          <Empty>No tasks here.</Empty>
        ) : (
          <Table label="Tasks" columns={columns}>
            {tasks.map((task) => (
              <Row key={task.ID} task={task} of={of} onConsole={() => setInConsole(task)} />
            ))}
          </Table>
        )}
      </Card>
      {inConsole === undefined ? null : (
        <Console key={inConsole.ID} task={inConsole} onClose={() => setInConsole(undefined)} />
      )}
    </>
  )
}
