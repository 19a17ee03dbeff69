/** All by which somebody comes in over HTTP: the node's own token, those of other people, and sessions. */
import { Effect } from "effect"
import { commonOf } from "#actors/gateway/access/common.ts"
import { local } from "#actors/gateway/access/role.ts"
import { type Common, makeSessions, type Sessions } from "#actors/gateway/access/sessions.ts"
import { openTokens, type Tokens } from "#actors/gateway/access/tokens.ts"
import { type HttpTokenError, httpToken } from "#actors/gateway/http-token.ts"
import type { LedgerService } from "#actors/ledger/service.ts"

export interface Access {
  /** The node's own. */
  readonly token: string
  readonly tokens: Tokens
  readonly sessions: Sessions
  /** Absent where sessions are this node's alone. */
  readonly common: () => Common | undefined
}

export const openAccess = Effect.fnUntraced(function* (options: {
  readonly nodeId: string
  readonly dataDir: string
  /** Absent where there is no HTTP door. */
  readonly http?: string
  readonly ledger: () => Pick<LedgerService, "read"> | undefined
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  /** Told in words what is wrong with what people have put beside the node's own token. */
  readonly onProblem: (problem: string) => void
}): Effect.fn.Return<Access, HttpTokenError> {
  const { nodeId, dataDir, ledger, clock, onProblem } = options
  const token = options.http === undefined ? "" : yield* httpToken(dataDir)
  const tokens = openTokens(dataDir, token, onProblem)
  const common = (): Common | undefined => {
    const known = ledger()
    return known && commonOf(known.read)
  }
  const roleOf: Parameters<typeof makeSessions>[0]["roleOf"] = ({ who, token: digest }) =>
    digest === undefined
      ? local.role
      : tokens.list().find((one) => one.name === who && one.digest === digest)?.role
  return { token, tokens, sessions: makeSessions({ nodeId, clock, roleOf, common }), common }
})
