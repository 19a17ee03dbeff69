/** Why a port could not be opened, for people: what is in the way and whose it is. */
import { holderOfPort } from "#actors/drivers/machine/port-holder.ts"

/** `undefined` for no error. */
export function wordsOfBindError(
  error: NodeJS.ErrnoException | undefined,
  protocol: "tcp" | "udp",
  port: number
): string | undefined {
  switch (error?.code) {
    case undefined:
      return error?.message
    case "EADDRINUSE": {
      const holder = holderOfPort(protocol, port)
      return `Port ${port}/${protocol} of this node is in use${holder === undefined ? "" : ` by ${holder}`}`
    }
    case "EACCES":
    case "EPERM":
      return `Port ${port}/${protocol} may not be opened by this user: ports below 1024 need root or CAP_NET_BIND_SERVICE`
    default:
      return `Port ${port}/${protocol} cannot be opened: ${error?.message}`
  }
}
