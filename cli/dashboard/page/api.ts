/** What the pages ask of the node that serves them. Every change carries the session's secret. */
import { signal } from "@preact/signals"

export interface Session {
  readonly who: string
  readonly role: "viewer" | "operator" | "admin"
  readonly csrf: string
  readonly nodeId: string
  readonly membership: string
  readonly version: string
}

/** `undefined` until it is known; `null` where nobody is signed in. */
export const session = signal<Session | null | undefined>(undefined)
export const mayOperate = (): boolean => session.value?.role === "operator" || session.value?.role === "admin"
export const mayAdminister = (): boolean => session.value?.role === "admin"

export interface Notice {
  readonly text: string
  readonly isError: boolean
}
export const notice = signal<Notice | undefined>(undefined)
let clearing: ReturnType<typeof setTimeout> | undefined
export function tell(text: string, isError = false): void {
  notice.value = { text, isError }
  clearTimeout(clearing)
  // What went wrong may be long, and is read until somebody has done so.
  if (!isError)
    clearing = setTimeout(() => {
      notice.value = undefined
    }, 6_000)
}

/** Fails where the node does not answer. */
export async function learnSession(): Promise<void> {
  const answer = await fetch("/dashboard/session")
  if (answer.status === 401) endSession()
  else if (answer.ok) {
    const found = (await answer.json()) as Session
    if (JSON.stringify(found) !== JSON.stringify(session.value)) session.value = found
  } else throw new Error(`HTTP ${answer.status}`)
}

/** Whether somebody was signed in here before. */
export const hasEnded = signal(false)

function endSession(): void {
  hasEnded.value = session.value != null
  session.value = null
}

export async function signIn(token: string): Promise<string | undefined> {
  const answer = await fetch("/dashboard/session", {
    method: "POST",
    headers: { Authorization: `Bearer ${token}` }
  })
  if (!answer.ok) return "No such token. It is in http-token in the node's data directory."
  await learnSession()
  return undefined
}

export async function signOut(): Promise<void> {
  await call("DELETE", "/dashboard/session").catch(() => {})
  session.value = null
  hasEnded.value = false
}

/** The answer's JSON. Throws with the API's own words. */
export async function call<A>(method: string, path: string, body?: unknown): Promise<A> {
  const asked = fetch(path, {
    method,
    headers: {
      "Content-Type": "application/json",
      ...(method === "GET" ? {} : { "Troupe-Csrf": session.value?.csrf ?? "" })
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  const answer = await asked.catch(() => {
    throw new Error(
      method === "GET"
        ? "the node does not answer"
        : "the node does not answer: what was asked may have been done or not"
    )
  })
  const text = await answer.text()
  if (answer.status === 401) endSession()
  const found = parsed(text)
  if (!answer.ok)
    throw new Error(found?.message ?? `something before the node answered HTTP ${answer.status}`)
  return found as A
}

/** What comes of a proxy is no JSON. */
// biome-ignore lint/suspicious/noExplicitAny: the caller knows what it has asked for
function parsed(text: string): any {
  try {
    return text === "" ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Carries something out and says how it ended. */
export async function act(what: string, doing: () => Promise<unknown>): Promise<void> {
  try {
    await doing()
    tell(what)
  } catch (cause) {
    tell((cause as Error).message, true)
  }
}
