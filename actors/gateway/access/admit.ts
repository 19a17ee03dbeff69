/**
 * Who stands at the HTTP door and whether this is theirs to ask, judged before a request is routed or passed on: by a
 * token, or by the session of a browser, which must also show that a page of ours sent it.
 */
import { timingSafeEqual } from "node:crypto"
import type { IncomingHttpHeaders } from "node:http"
import { demand } from "#actors/gateway/access/demand.ts"
import { type Identity, isAtLeast } from "#actors/gateway/access/role.ts"
import type { Session, Sessions } from "#actors/gateway/access/sessions.ts"
import type { Tokens } from "#actors/gateway/access/tokens.ts"

export type Admitted =
  /** Nobody in particular where anybody may come in. */
  | { readonly _tag: "In"; readonly identity?: Identity }
  | {
      readonly _tag: "Out"
      readonly status: 401 | 403
      readonly message: string
      /** Absent where nobody is known. */
      readonly identity?: Identity
    }

export interface Knock {
  readonly method: string
  /** Without version and query. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** A shell is asked for by GET as well. */
  readonly isUpgrade: boolean
}

export const csrfHeader = "troupe-csrf"

/**
 * A page cannot give its WebSockets headers, but it can offer protocols: the secret is one of those, after this. It is
 * in no address, and so in no history and no log.
 */
export const csrfProtocol = "troupe-csrf."

function secretOf({ path, headers, isUpgrade }: Knock): string | ReadonlyArray<string> | undefined {
  // What goes to the Engine must not carry it.
  if (!isUpgrade || !path.startsWith("/dashboard/")) return headers[csrfHeader]
  const offered = headers["sec-websocket-protocol"]?.split(/\s*,\s*/) ?? []
  return offered.find((each) => each.startsWith(csrfProtocol))?.slice(csrfProtocol.length)
}

const nobody =
  "authorization required: send the token in <data-dir>/http-token as 'Authorization: Bearer <token>'"

/** What anybody may have: the pages themselves, which hold nothing, and where a link signs in. */
export const isOpen = (method: string, path: string): boolean =>
  (method === "GET" || method === "HEAD") && /^\/dashboard(\/|\/enter|\/assets\/[\w.-]+)?$/.test(path)

const cookiePrefix = "troupe-session-"
/** Cookies know no ports, and nodes of several clusters may answer on one machine. */
export const cookieName = (clusterId: string | undefined, host: string | undefined): string =>
  `${cookiePrefix}${clusterId ?? /:(\d+)$/.exec(host ?? "")?.[1] ?? "80"}`

/** More are nobody's who means well, and each is judged. */
const mostCookies = 16

/** Of all sessions that a browser has on this machine, with the names that they have there. */
export const sessionCookies = (
  cookie: string | undefined
): ReadonlyArray<readonly [name: string, value: string]> =>
  (cookie ?? "")
    .split(/;\s*/)
    .filter((part) => part.startsWith(cookiePrefix))
    .slice(0, mostCookies)
    .map((part) => [part.slice(0, part.indexOf("=")), part.slice(part.indexOf("=") + 1)])

/** The first that is one here. */
export function sessionOf(judge: Sessions["find"], cookie: string | undefined): Session | undefined {
  for (const [, value] of sessionCookies(cookie)) {
    const found = judge(value)
    if (found !== undefined) return found
  }
  return undefined
}

export function admit(
  known: { tokens: Pick<Tokens, "identify">; sessions: Pick<Sessions, "find"> },
  knock: Knock
): Admitted {
  const { method, path, headers, isUpgrade } = knock
  if (!isUpgrade && isOpen(method, path)) return { _tag: "In" }
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1]
  if (bearer !== undefined) {
    const identity = known.tokens.identify(bearer)
    return identity === undefined ? { _tag: "Out", status: 401, message: nobody } : judged(identity, knock)
  }
  const session = sessionOf(known.sessions.find, headers.cookie)
  if (session === undefined) return { _tag: "Out", status: 401, message: nobody }
  const { who, role, token } = session
  const identity: Identity = { who, role, ...(token !== undefined && { token }) }
  const changes = isUpgrade || (method !== "GET" && method !== "HEAD")
  if (changes && !isOurPage(headers)) return out(identity, "the request was sent by a page of another origin")
  if (changes && !same(secretOf(knock), session.csrf))
    return out(identity, `the request does not carry the session's own ${csrfHeader} header`)
  return judged(identity, knock)
}

const out = (identity: Identity, message: string): Admitted => ({
  _tag: "Out",
  status: 403,
  message,
  identity
})

function judged(identity: Identity, { method, path, isUpgrade }: Knock): Admitted {
  const asked =
    isUpgrade && method === "GET" && demand(method, path) === "viewer" ? "operator" : demand(method, path)
  return isAtLeast(identity.role, asked)
    ? { _tag: "In", identity }
    : out(
        identity,
        `${identity.who} is ${identity.role}: ${method} ${path} is for the role ${asked} and above`
      )
}

/** Browsers say where a change comes from; one that does not say so is none of ours. */
function isOurPage({ origin, host, "sec-fetch-site": site }: IncomingHttpHeaders): boolean {
  if (origin === undefined || host === undefined) return false
  if (site !== undefined && site !== "same-origin") return false
  return origin === `http://${host}` || origin === `https://${host}`
}

const same = (given: string | ReadonlyArray<string> | undefined, wanted: string): boolean =>
  typeof given === "string" &&
  Buffer.byteLength(given) === Buffer.byteLength(wanted) &&
  timingSafeEqual(Buffer.from(given), Buffer.from(wanted))
