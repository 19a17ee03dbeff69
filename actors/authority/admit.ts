/** Whether a machine that knocks at the join port is let in, and as what. */
import type { JoinRequest, Role } from "#actors/authority/protocol.ts"
import { type Refusal, refuse } from "#actors/model/errors.ts"
import { holds, parseAddress, parseSubnet } from "#actors/network/ip.ts"
import { assert } from "#runtime/assert.ts"

export interface Door {
  readonly tokens: { readonly Worker: string; readonly Manager: string }
  /** In a time that does not tell how alike they are. */
  readonly isSame: (left: string, right: string) => boolean
}

export type Admission = { readonly role: Role } | Refusal

/** Addresses at which nobody is reached: any, many, and this network's all. RFC 1122 §3.2.1.3, RFC 4291 §2. */
const nobody = ["0.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/128", "ff00::/8"].map((text) => {
  const subnet = parseSubnet(text)
  assert(subnet !== undefined, "these are subnets")
  return subnet
})
const name = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/

/** The role that the token gives; Swarm's words where it has some. */
export function admit(door: Door, request: JoinRequest): Admission {
  // Both are compared always, so that the time does not tell which one was meant.
  const asWorker = door.isSame(request.token, door.tokens.Worker)
  const asManager = door.isSame(request.token, door.tokens.Manager)
  if (!asWorker && !asManager) {
    return refuse(
      "forbidden",
      "rpc error: code = PermissionDenied desc = A valid join token is necessary to join this cluster"
    )
  }
  const address = parseAddress(request.address)
  if (address === undefined) {
    return refuse("invalidArgument", `address '${request.address}': expected an IP address`)
  }
  if (nobody.some((subnet) => subnet.family === address.family && holds(subnet, address))) {
    return refuse(
      "invalidArgument",
      `address '${request.address}': expected one at which the other nodes can reach this one`
    )
  }
  if (!name.test(request.name)) {
    return refuse(
      "invalidArgument",
      `name '${request.name}': expected 1 to 63 letters, digits, dots, dashes and underscores, a letter or digit first`
    )
  }
  return { role: asManager ? "manager" : "worker" }
}
