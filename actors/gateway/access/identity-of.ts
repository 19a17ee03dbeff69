/** Who sent a request that was let in. Beside the request rather than in its headers, which clients can write. */
import { type Identity, local } from "#actors/gateway/access/role.ts"

const identities = new WeakMap<Request, Identity>()

export const identify = (request: Request, identity: Identity): void => void identities.set(request, identity)

/** `local` for what no door has let in: what this process asks itself. */
export const identityOf = (request: Request): Identity => identities.get(request) ?? local
