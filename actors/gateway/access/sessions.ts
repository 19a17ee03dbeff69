/**
 * Browsers that are signed in, and the links that sign one in once.
 *
 * A session is a cookie that says all of it, signed. Managers sign by a key that they alone have and make from the ledger,
 * so that each of them knows the others' sessions, also after their death; any other node signs by a key of its own
 * process. Links are this process's memory.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"
import { Schema } from "effect"
import { type Identity, isAtLeast, type Role, roles } from "#actors/gateway/access/role.ts"

const Session = Schema.Struct({
  id: Schema.String,
  /** Whose token or socket it came by. */
  node: Schema.String,
  who: Schema.String,
  role: Schema.Literals(roles),
  /** Of the token, SHA-256; absent where it came by the socket. */
  token: Schema.optionalKey(Schema.String),
  /** What a page of ours must say with every change; no other page can read it. */
  csrf: Schema.String,
  /** When it was last said anew, and where it ends however busy, in milliseconds since the epoch. */
  at: Schema.Int,
  until: Schema.Int
})
export type Session = typeof Session.Type

/** What managers know together. */
export interface Common {
  readonly clusterId: string
  /** No worker has it, and who was a manager knows it no longer. */
  readonly secret: string
  /** The present role of what a session of another manager came by; `undefined` where that is good for nothing any more. */
  readonly roleOf: (session: Session) => Role | undefined
  readonly hasEnded: (id: string) => boolean
}

export interface SessionsOptions {
  readonly nodeId: string
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  /** The present role of what a session of this node came by. */
  readonly roleOf: (session: Session) => Role | undefined
  /** Absent where a session is this node's alone. */
  readonly common: () => Common | undefined
}

export interface Ended {
  readonly id: string
  /** It would have ended then anyway. */
  readonly until: number
}

export interface Sessions {
  /** The code of a link that is good once, for five minutes. */
  readonly invite: (identity: Identity) => string
  /** Who was invited by this code; nobody the second time. */
  readonly accept: (code: string) => Identity | undefined
  /** The cookie of a new session. */
  readonly begin: (identity: Identity) => string
  /** That of a session as of now. */
  readonly renew: (session: Session) => string
  /** What a cookie is good for, of no higher role than what it came by has now. Counts as a use of it. */
  readonly find: (cookie: string) => Session | undefined
  /** Does not. */
  readonly look: (cookie: string) => Session | undefined
  readonly end: (session: Session) => void
  /** Those that were ended here and would be good otherwise, the newest last. */
  readonly ended: () => ReadonlyArray<Ended>
}

const invitedMs = 5 * 60_000
const sessionMs = 12 * 60 * 60_000
const idleMs = 60 * 60_000
/** Of each thing that is remembered: nobody needs more; the oldest make room. */
const most = 1_000
/** All managers keep them. So many of one name and role, so that whoever ends many is in nobody else's way. */
export const mostEnded = { alike: 50, all: 200 }

const decode = Schema.decodeUnknownOption(Session)
const keyOf = (secret: string): Buffer => createHmac("sha256", secret).update("dashboard sessions").digest()
const markOf = (key: Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest()
const fresh = (bytes = 32): string => randomBytes(bytes).toString("base64url")

export function makeSessions({ nodeId, clock, roleOf, common }: SessionsOptions): Sessions {
  const own = randomBytes(32)
  const invited = new Map<string, { readonly identity: Identity; readonly until: number }>()
  /** Cookies that were said or found good here, which they stay when managers go over to another key. */
  const good = new Map<string, Session>()
  const used = new Map<string, number>()
  const over = new Map<string, Session>()
  const put = <A>(map: Map<string, A>, name: string, value: A, room = most): void => {
    map.delete(name)
    map.set(name, value)
    for (const oldest of map.keys()) {
      if (map.size <= room) break
      map.delete(oldest)
    }
  }
  const say = (session: Session): string => {
    const shared = common()
    const text = Buffer.from(JSON.stringify(session)).toString("base64url")
    const key = shared === undefined ? own : keyOf(shared.secret)
    const cookie = `${text}.${markOf(key, text).toString("base64url")}`
    // The key may change before it comes back.
    put(good, cookie, session)
    return cookie
  }
  const read = (cookie: string): Session | undefined => {
    const known = good.get(cookie)
    if (known !== undefined) return known
    const [text = "", mark = "", ...more] = cookie.split(".")
    const given = Buffer.from(mark, "base64url")
    const shared = common()
    const keys = shared === undefined ? [own] : [keyOf(shared.secret), own]
    if (more.length > 0 || given.length !== 32) return undefined
    if (!keys.some((key) => timingSafeEqual(markOf(key, text), given))) return undefined
    const session = decode(JSON.parse(Buffer.from(text, "base64url").toString()))
    if (session._tag === "None") return undefined
    put(good, cookie, session.value)
    return session.value
  }
  const look = (cookie: string): Session | undefined => {
    const session = read(cookie)
    if (session === undefined) return undefined
    const now = clock()
    const lastUse = Math.max(session.at, used.get(session.id) ?? 0)
    if (now >= session.until || now - lastUse >= idleMs) return undefined
    if (over.has(session.id) || common()?.hasEnded(session.id) === true) return undefined
    const role = session.node === nodeId ? roleOf(session) : common()?.roleOf(session)
    if (role === undefined) return undefined
    return isAtLeast(role, session.role) ? session : { ...session, role }
  }
  return {
    invite: (identity) => {
      const code = fresh()
      put(invited, code, { identity, until: clock() + invitedMs })
      return code
    },
    accept: (code) => {
      const found = invited.get(code)
      invited.delete(code)
      return found !== undefined && found.until > clock() ? found.identity : undefined
    },
    begin: ({ who, role, token }) => {
      const at = clock()
      const session = { id: fresh(16), node: nodeId, who, role, csrf: fresh(), at, until: at + sessionMs }
      return say(token === undefined ? session : { ...session, token })
    },
    renew: (session) => say({ ...session, at: clock() }),
    find: (cookie) => {
      const session = look(cookie)
      if (session !== undefined) put(used, session.id, clock())
      return session
    },
    look,
    end: (session) => {
      put(over, session.id, session, mostEnded.all)
      const { node, who, role } = session
      const alike = [...over.values()].filter(
        (one) => one.node === node && one.who === who && one.role === role
      )
      for (const { id } of alike.slice(0, -mostEnded.alike)) over.delete(id)
    },
    ended: () => {
      for (const { id, until } of over.values()) if (until <= clock()) over.delete(id)
      return [...over.values()].map(({ id, until }) => ({ id, until }))
    }
  }
}
