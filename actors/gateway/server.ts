/** What answers behind the doors: who may come in by which, and where they are led. What that is, is in `listener.ts`. */
import type { Effect, Scope } from "effect"
import { admit, csrfHeader } from "#actors/gateway/access/admit.ts"
import type { Audit } from "#actors/gateway/access/audit.ts"
import { local } from "#actors/gateway/access/role.ts"
import type { Sessions } from "#actors/gateway/access/sessions.ts"
import type { Tokens } from "#actors/gateway/access/tokens.ts"
import type { Doors } from "#actors/gateway/doors.ts"
import { type Admission, type ListenerOptions, makeListener } from "#actors/gateway/listener.ts"

export interface ServeOptions extends Omit<ListenerOptions, "proxy"> {
  readonly doors: Doors
  /** All that open the door over HTTP. */
  readonly tokens: Pick<Tokens, "identify">
  readonly sessions: Sessions
  readonly audit: Pick<Audit, "note">
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  /** Told first when this stops, to end streams that would otherwise go on. */
  readonly onStop?: () => void
}

/** Answers at the doors until the scope closes. */
export const serveGateway = ({
  doors,
  onStop,
  ...options
}: ServeOptions): Effect.Effect<void, never, Scope.Scope> => {
  const listenerOptions: ListenerOptions = { ...options, proxy: doors.proxy }
  const note = noting(options)
  const everybody: Admission = { judge: () => ({ _tag: "In", identity: local }), note }
  const guarded: Admission = { ...guard(options), note }
  return doors.lead(
    ({ kind, self }) =>
      kind === "socket"
        ? makeListener(listenerOptions, everybody, [], self)
        : makeListener(listenerOptions, guarded, ["authorization", "cookie", csrfHeader], self),
    onStop
  )
}

/** Who may come in over HTTP, each with what their role allows. */
const guard = ({ sessions, tokens }: Pick<ServeOptions, "sessions" | "tokens">): Admission => ({
  judge: ({ method = "GET", headers }, path, isUpgrade) =>
    admit({ tokens, sessions }, { method, path, headers, isUpgrade }),
  isStillIn: ({ method = "GET", headers }, path, inUse) => {
    const known = { tokens, sessions: { find: inUse ? sessions.find : sessions.look } }
    return admit(known, { method, path, headers, isUpgrade: true })._tag === "In"
  }
})

/** What came of a request goes into the audit. */
const noting =
  ({ audit, clock }: Pick<ServeOptions, "audit" | "clock">): NonNullable<Admission["note"]> =>
  ({ method = "GET" }, path, admitted, status, did) =>
    audit.note({
      at: new Date(clock()).toISOString(),
      who: admitted.identity?.who ?? "nobody",
      ...(admitted.identity && { role: admitted.identity.role }),
      method,
      path,
      status,
      ...(did !== undefined && { did }),
      ...(admitted._tag === "Out" && { refused: admitted.message })
    })
