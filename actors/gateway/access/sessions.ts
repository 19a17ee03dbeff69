/**
 * Browsers that are signed in, and the links that sign one in once. All of it is this process's memory: a gateway
 * that starts anew asks everybody to sign in again.
 */
import { randomBytes } from "node:crypto"
import type { Identity } from "#actors/gateway/access/role.ts"

export interface Session extends Identity {
  /** What a page of ours must say with every change; no other page can read it. */
  readonly csrf: string
  /** Milliseconds since the epoch, where it ends however busy. */
  readonly until: number
}

export interface Sessions {
  /** The code of a link that is good once, for five minutes. */
  readonly invite: (identity: Identity) => string
  /** Who was invited by this code; nobody the second time. */
  readonly accept: (code: string) => Identity | undefined
  /** The id of a new session. */
  readonly begin: (identity: Identity) => string
  /** Counts as a use of it. */
  readonly find: (id: string) => Session | undefined
  /** Does not. */
  readonly look: (id: string) => Session | undefined
  readonly end: (id: string) => void
}

const invitedMs = 5 * 60_000
const sessionMs = 12 * 60 * 60_000
const idleMs = 60 * 60_000
/** Nobody needs more; the oldest make room. */
const most = 1_000

interface Kept {
  readonly session: Session
  usedAt: number
}

/** `clock` in milliseconds. */
export function makeSessions(clock: () => number): Sessions {
  const invited = new Map<string, { readonly identity: Identity; readonly until: number }>()
  const sessions = new Map<string, Kept>()
  const fresh = (): string => randomBytes(32).toString("base64url")
  const makeRoom = (map: Map<string, unknown>): void => {
    for (const [oldest] of map) if (map.size >= most) map.delete(oldest)
  }
  const good = (id: string): Kept | undefined => {
    const kept = sessions.get(id)
    if (kept === undefined) return undefined
    const now = clock()
    if (now < kept.session.until && now - kept.usedAt < idleMs) return kept
    sessions.delete(id)
    return undefined
  }
  return {
    invite: (identity) => {
      makeRoom(invited)
      const code = fresh()
      invited.set(code, { identity, until: clock() + invitedMs })
      return code
    },
    accept: (code) => {
      const found = invited.get(code)
      invited.delete(code)
      return found !== undefined && found.until > clock() ? found.identity : undefined
    },
    begin: ({ who, role }) => {
      makeRoom(sessions)
      const id = fresh()
      const now = clock()
      sessions.set(id, { session: { who, role, csrf: fresh(), until: now + sessionMs }, usedAt: now })
      return id
    },
    find: (id) => {
      const kept = good(id)
      if (kept !== undefined) kept.usedAt = clock()
      return kept?.session
    },
    look: (id) => good(id)?.session,
    end: (id) => void sessions.delete(id)
  }
}
