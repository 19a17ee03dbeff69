/** The dashboard: which page the address names, and what stands around every page. */
import { signal } from "@preact/signals"
import { render } from "preact"
import { useEffect } from "preact/hooks"
import "@xterm/xterm/css/xterm.css"
import "uplot/dist/uPlot.min.css"
import "./theme.css"
import { learnSession, notice, session, signOut } from "./api.ts"
import { followHistory } from "./history.ts"
import { follow, followAlerts, nodeName, nodeOf, problems, serviceOf, taskOf } from "./live.ts"
import { isKind, type Kind, kinds } from "./resources.ts"
import { choose, theme } from "./theme.ts"
import { Empty } from "./ui.tsx"
import { CreateService } from "./views/create-service.tsx"
import { NodePage, Nodes } from "./views/nodes.tsx"
import { Overview } from "./views/overview.tsx"
import { bar, isPaletteOpen, Palette, places } from "./views/palette.tsx"
import { ResourcePage, Resources, titleOfResource } from "./views/resources.tsx"
import { ServicePage } from "./views/service.tsx"
import { SignIn } from "./views/sign-in.tsx"
import { Stacks } from "./views/stacks.tsx"
import { Pulse, Stale } from "./views/standing.tsx"
import { TaskPage } from "./views/task.tsx"
import { Timeline } from "./views/timeline.tsx"
import { Tree } from "./views/tree.tsx"

const where = signal(location.hash)
followHistory((hash) => {
  where.value = hash
})

function Page() {
  const [, page = "", id = ""] = where.value.split("/")
  if (page === "service") return <ServicePage id={id} />
  if (page === "create") return <CreateService />
  if (page === "task") return <TaskPage key={id} id={id} />
  if (page === "nodes") return <Nodes />
  if (page === "node") return <NodePage id={id} />
  if (isKind(page.slice(0, -1))) return <Resources key={page} kind={page.slice(0, -1) as Kind} />
  if (isKind(page)) return <ResourcePage key={`${page} ${id}`} kind={page} id={decodeURIComponent(id)} />
  if (page === "stacks") return <Stacks />
  if (page === "timeline") return <Timeline />
  if (page === "tree") return <Tree />
  return <Overview />
}

/** The page of the bar that a page is below. */
const homes: Readonly<Record<string, string>> = {
  service: "",
  task: "",
  create: "",
  node: "nodes",
  ...Object.fromEntries(kinds.flatMap((kind) => [kind, `${kind}s`].map((page) => [page, "networks"])))
}

function titleOf(hash: string): string {
  const [, page = "", id = ""] = hash.split("/")
  if (page === "service") return serviceOf(id)?.Spec.Name ?? "no such service"
  if (page === "create") return "Create a service"
  if (page === "task") return taskOf(id)?.Name ?? "no such task"
  if (page === "node") return nodeName(nodeOf(id))
  if (isKind(page)) return titleOfResource.value
  return places.find(({ go }) => go === `#/${page}`)?.name ?? "Cluster"
}

const renewEveryMs = 5 * 60_000

function Frame() {
  const known = session.value
  useEffect(() => {
    const stop = follow()
    // Its cookie is made anew then, so that other managers know it is in use.
    const renewing = setInterval(() => void learnSession().catch(() => {}), renewEveryMs)
    const press = (event: KeyboardEvent): void => {
      const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement
      if ((event.key === "k" && (event.ctrlKey || event.metaKey)) || (event.key === "/" && !isTyping)) {
        event.preventDefault()
        isPaletteOpen.value = true
      }
    }
    addEventListener("keydown", press)
    return () => {
      stop()
      clearInterval(renewing)
      removeEventListener("keydown", press)
    }
  }, [])
  followAlerts()
  const here = `#/${homes[where.value.split("/")[1] ?? ""] ?? where.value.split("/")[1] ?? ""}`
  const wrong = problems.value.length
  const title = `${wrong === 0 ? "" : `(${wrong}) `}${titleOf(where.value)} · Troupe`
  useEffect(() => {
    document.title = title
  }, [title])
  const other = theme.value === "dark" ? "light" : "dark"
  return (
    <>
      <header class="bar">
        <a class="brand" href="#/">
          <img src="/dashboard/assets/icon.svg" alt="" width="26" height="26" />
          Troupe
        </a>
        <nav aria-label="Pages">
          {bar.map(({ name, go }) => (
            <a key={go} href={go} aria-current={here === go ? "page" : undefined}>
              {name}
              {go === "#/" && wrong > 0 ? (
                <b class="alarm-count" title={`${wrong} ${wrong === 1 ? "problem" : "problems"}`}>
                  {wrong}
                </b>
              ) : null}
            </a>
          ))}
        </nav>
        <div class="bar-end">
          <button type="button" class="quiet find" onClick={() => (isPaletteOpen.value = true)}>
            Go to <kbd>Ctrl K</kbd>
          </button>
          <Pulse />
          <button type="button" class="quiet" onClick={() => choose(other)}>
            {other}
          </button>
          <button
            type="button"
            class="quiet"
            title={`${known?.who}, ${known?.role}`}
            onClick={() => void signOut()}
          >
            <span class="role">{known?.role}: </span>sign out
          </button>
        </div>
      </header>
      <Stale />
      <main>
        <Page />
      </main>
      <Palette />
      <div class="notice" role="status" aria-live="polite">
        {notice.value === undefined ? null : (
          <p class={notice.value.isError ? "bad" : "good"}>
            {notice.value.text}
            {notice.value.isError ? (
              <button type="button" class="quiet" onClick={() => (notice.value = undefined)}>
                Dismiss
              </button>
            ) : null}
          </p>
        )}
      </div>
    </>
  )
}

const isUnanswered = signal(false)

function App() {
  if (session.value === undefined)
    return isUnanswered.value ? <Empty>The node does not answer. It is asked again.</Empty> : null
  return session.value === null ? <SignIn /> : <Frame />
}

function begin(): void {
  learnSession().catch(() => {
    isUnanswered.value = true
    setTimeout(begin, 1_000)
  })
}
begin()
const root = document.getElementById("app")
if (root !== null) render(<App />, root)
