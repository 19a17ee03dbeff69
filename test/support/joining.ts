/** Who asks to become a node, and the manager that is asked. */
import { Effect } from "effect"
import { certify } from "#actors/authority/certify.ts"
import type { JoinRequest } from "#actors/authority/protocol.ts"
import { type KeyAndPem, newRequest, sign } from "#actors/authority/x509.ts"
import { somePorts } from "#test/support/trust.ts"

/** What such a node shows, certified by `signer` from `now` on for an hour. */
export async function identityOf(role: "manager" | "worker", signer: KeyAndPem, now: number) {
  const request = await Effect.runPromise(newRequest)
  const fields = certify({ nodeId: "m1", clusterId: "blue", role, addresses: [] }, now, 3_600_000)
  const signed = sign({ certificate: signer.pem, key: signer.key }, request.pem, fields)
  return { certificate: await Effect.runPromise(signed), key: request.key, root: signer.pem }
}

export const requestWith = (token: string): JoinRequest => ({
  token,
  csr: "csr",
  keys: { daemon: "d", api: "a", raft: "r", system: "s" },
  name: "n2",
  address: "10.0.0.2",
  ports: somePorts,
  availability: "active"
})
