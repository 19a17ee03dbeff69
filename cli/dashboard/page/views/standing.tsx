/** Whether what is shown is so now, and what to do where it is not. */
import { session } from "../api.ts"
import { clock, isLive, nodeName, nodeOf, nodes, trouble } from "../live.ts"

export function Pulse() {
  const { what } = trouble.value ?? {}
  const isOn = isLive.value && what === undefined
  return (
    <span class={`pulse ${isOn ? "on" : ""}`} role="status">
      {isOn ? "live" : what === "no leader" ? what : "connecting"}
    </span>
  )
}

export function Stale() {
  if (trouble.value === undefined || session.value == null) return null
  const { what, since } = trouble.value
  const { nodeId, membership } = session.value
  const here = nodeOf(nodeId) === undefined ? "this node" : nodeName(nodeOf(nodeId))
  const others = nodes.value
    .filter(({ ID, Spec }) => ID !== nodeId && Spec.Role === "manager")
    .map((node) => `${nodeName(node)} (${node.Status.Addr})`)
  const says =
    what === "no leader"
      ? `${here} hears no leader. It may be cut off, or too few managers are up; nothing can be changed from here.`
      : membership === "active/manager"
        ? `No word from ${here}. It is asked again.`
        : `${here} is no manager any more.`
  return (
    <div class="stale" role="alert">
      <strong>{says}</strong> <span>What is shown is from {clock(since)}.</span>
      {others.length === 0 ? null : (
        <span>
          {" "}
          Look from another manager: <code>troupe dashboard</code> on {others.join(" or ")}.
        </span>
      )}
    </div>
  )
}
