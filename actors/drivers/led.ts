/** Connections that a node has led to services' tasks, by what was asked for; of UDP, clients that began to speak. */

/** A published port; in ingress mode, unless it says another. */
export interface PortEndpoint {
  readonly _tag: "Port"
  readonly serviceId: string
  readonly mode?: "host"
  readonly protocol: "tcp" | "udp"
  readonly publishedPort: number
}

/** What a service is asked at, other than its tasks' own addresses. A virtual address may be one of each family. */
export type Endpoint =
  | PortEndpoint
  | { readonly _tag: "VirtualIp"; readonly serviceId: string; readonly networkId: string }

export interface Led {
  /** By counter, since it began, which it may do again at any time. One that is missing stands at 0. */
  readonly counts: ReadonlyMap<string, number>
  /** What counters stand for now; one goes on when what it counts becomes another service's. */
  readonly endpoints: ReadonlyMap<string, Endpoint>
}

export const nothingLed: Led = { counts: new Map(), endpoints: new Map() }
