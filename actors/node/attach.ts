/** What the leader does for a container that people attach to a network on some node: addresses, kept in the ledger. */
import { Effect, Random } from "effect"
import type { Command } from "#actors/ledger/commands.ts"
import { Ledger } from "#actors/ledger/service.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"
import { attachedAddresses, keepsAttached } from "#actors/network/allot-attached.ts"
import type { FromNode, ToNodeAnswer } from "#actors/node/protocol.ts"

export type AttachRequest = Omit<Extract<FromNode, { _tag: "Attach" }>, "_tag">

/** Others may be given the same address at the same time: whoever was not the first looks among ever more of them. */
const tries = 8
const lookedAmong = 8

/** Gives the container addresses on the network, which may be named; writes them down before it answers. */
export const attach = Effect.fn("node.attach")(function* (
  nodeId: string,
  { id, network: input, name, aliases, ipv4 }: AttachRequest
): Effect.fn.Return<ToNodeAnswer, never, Ledger> {
  const ledger = yield* Ledger
  const network = ledger.read.get("network", input) ?? ledger.read.byName("network", input)
  if (network === undefined) return no(refuse("notFound", `network ${input} not found`))
  if (!keepsAttached(ledger.read)) {
    return no(
      refuse("unavailable", `Could not attach to network ${input}: a manager is older than this node`)
    )
  }
  for (let attempt = 1; ; attempt++) {
    const passed = attempt === 1 ? 0 : yield* Random.nextIntBetween(0, lookedAmong * 2 ** attempt)
    const addresses = attachedAddresses(ledger.read, network, ipv4, passed)
    if ("code" in addresses) return no(addresses)
    const attached = {
      ID: id,
      NetworkID: network.ID,
      Name: name,
      ...(aliases === undefined ? {} : { Aliases: aliases }),
      Addresses: addresses
    }
    const outcome = yield* write(nodeId, { type: "node.attach", v: 1, id: nodeId, attached })
    if (outcome._tag === "Applied") return { _tag: "AttachedAt", networkId: network.ID, addresses }
    if (outcome._tag === "Refused" && attempt < tries) continue
    const why = outcome._tag === "Refused" ? outcome.refusal.message : "no leader has taken it"
    return no(refuse("unavailable", `Could not attach to network ${input}: ${why}`))
  }
})

/** The containers are gone from their networks. What is not written is said again. */
export const detach = (nodeId: string, attached: ReadonlyArray<string>) =>
  write(nodeId, { type: "node.detach", v: 1, id: nodeId, attached })

const write = (nodeId: string, command: Command) =>
  Effect.flatMap(Ledger, (ledger) =>
    ledger.propose(command, { who: `leader/node/${nodeId}`, why: "a container beside all tasks" })
  )

const no = ({ code, message }: Refusal): ToNodeAnswer => ({ _tag: "NotAttached", code, reason: message })
