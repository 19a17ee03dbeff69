/** What managers know of each other's sessions, by the ledger, and what this one says there of its own. */
import { Effect } from "effect"
import { isRole } from "#actors/gateway/access/role.ts"
import { type Common, mostEnded, type Sessions } from "#actors/gateway/access/sessions.ts"
import type { Tokens } from "#actors/gateway/access/tokens.ts"
import { levelOf } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import type { Access } from "#actors/model/objects.ts"
import { equal } from "#actors/model/service-facts.ts"

/** `undefined` until all managers can do it. */
export function commonOf(read: Pick<LedgerReader, "cluster" | "get" | "all">): Common | undefined {
  const cluster = read.cluster()
  // It changes whenever a manager becomes a worker, or is left behind.
  const secret = cluster?.Roots?.routePassword
  if (cluster === undefined || secret === undefined || cluster.FeatureLevel < levelOf["node.access"])
    return undefined
  return {
    clusterId: cluster.ID,
    secret,
    roleOf: ({ node: id, who, token }) => {
      const node = read.get("node", id)
      if (node?.Spec.Role !== "manager") return undefined
      if (token === undefined) return "admin"
      const role = node.Access?.Tokens.find(({ Name, Digest }) => Name === who && Digest === token)?.Role
      return isRole(role) ? role : undefined
    },
    hasEnded: (id) => {
      for (const { Spec, Access } of read.all("node"))
        if (Spec.Role === "manager" && Access?.Ended.some((one) => one.ID === id)) return true
      return false
    }
  }
}

const everyMs = 2_000

/** What should stand in the ledger of a node, with what it ended in lives before; `undefined` where it does. */
export function toSay(
  before: Access | undefined,
  tokens: ReturnType<Tokens["list"]>,
  ended: ReturnType<Sessions["ended"]>,
  nowMs: number
): Access | undefined {
  const known = new Map((before?.Ended ?? []).map((one) => [one.ID, one]))
  for (const { id, until } of ended) known.set(id, { ID: id, Until: until })
  const access: Access = {
    Tokens: tokens.map(({ name, role, digest }) => ({ Name: name, Role: role, Digest: digest })),
    Ended: [...known.values()].filter(({ Until }) => Until > nowMs).slice(-mostEnded.all)
  }
  return before !== undefined && equal(before, access) ? undefined : access
}

/** Says it again until it stands there, for as long as it runs. */
export const tellManagers = (options: {
  readonly nodeId: string
  readonly ledger: () => LedgerService | undefined
  readonly tokens: Pick<Tokens, "list">
  readonly sessions: Pick<Sessions, "ended">
  readonly clock: () => number
}): Effect.Effect<never> => {
  const { nodeId, ledger, tokens, sessions, clock } = options
  const look = Effect.gen(function* () {
    const known = ledger()
    const node = known?.read.get("node", nodeId)
    if (known === undefined || node?.Spec.Role !== "manager" || commonOf(known.read) === undefined) return
    const access = toSay(node.Access, tokens.list(), sessions.ended(), clock())
    if (access === undefined) return
    yield* known.propose(
      { type: "node.access", v: 1, id: nodeId, access },
      { who: `node ${nodeId}`, why: "its HTTP door" }
    )
  })
  return Effect.forever(Effect.andThen(look, Effect.sleep(everyMs)))
}
