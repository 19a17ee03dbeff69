/** The keeper of the cluster's keys, `leader/keymaster/main`: makes what is secret, and has the ledger keep it. */
import { Effect } from "effect"
import { newJoinToken } from "#actors/authority/join-token.ts"
import { decide, start, summarize } from "#actors/authority/keymaster/decide.ts"
import type { KeymasterAction, KeymasterMessage } from "#actors/authority/keymaster/protocol.ts"
import { newRoutePassword } from "#actors/authority/membership.ts"
import { issuerOf } from "#actors/authority/x509.ts"
import { carryOut } from "#actors/ledger/proposer.ts"
import { Ledger } from "#actors/ledger/service.ts"
import { propose } from "#actors/ledger/writer.ts"
import { signerOf } from "#actors/model/trust.ts"
import { actor } from "#runtime/actor.ts"
import type { Address } from "#runtime/address.ts"

const perform = Effect.fn("keymaster.perform")(function* (
  action: KeymasterAction,
  self: Address
): Effect.fn.Return<KeymasterMessage, never, Ledger> {
  switch (action._tag) {
    case "Propose":
      return yield* carryOut(action, self)
    case "Look": {
      const { read } = yield* Ledger
      const roots = read.cluster()?.Roots
      return { _tag: "Looked", ...(roots && { issuer: issuerOf(signerOf(roots).certificate).publicKey }) }
    }
    case "Conclude": {
      const { certificate } = action
      const tokens = { Worker: newJoinToken(certificate), Manager: newJoinToken(certificate) }
      const command = { type: "cluster.rotated", v: 1, certificate, tokens } as const
      return yield* carryOut(propose("every node has a certificate of the new root", [command]), self)
    }
    case "ChangePassword": {
      const { number, holders } = action
      const command = { type: "cluster.routes", v: 1, number, password: newRoutePassword(), holders } as const
      return yield* carryOut(propose("a node that knew the routes' password is no manager", [command]), self)
    }
  }
})

export const keymaster = actor({ kind: "keymaster", start, decide, perform, summary: summarize })
