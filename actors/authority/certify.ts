/** What a node's certificate says. The request gives the key and nothing else: a node does not choose its name. */
import type { Role } from "#actors/authority/protocol.ts"

export interface Member {
  readonly nodeId: string
  readonly clusterId: string
  readonly role: Role
  /** IP addresses by which others reach it. */
  readonly addresses: ReadonlyArray<string>
}

/** Times are milliseconds since the epoch. */
export interface CertificateFields {
  readonly subject: string
  readonly dnsNames: ReadonlyArray<string>
  readonly addresses: ReadonlyArray<string>
  readonly notBefore: number
  readonly notAfter: number
  /** Of one who serves nothing. */
  readonly isClient?: true
}

/** Clocks differ: a certificate counts from an hour ago, as Swarm's does. */
export const backDateMs = 3_600_000
/** Swarm refuses shorter ones, too: renewal needs room. */
export const shortestMs = 3_600_000
/** Swarm's: 90 days. */
export const usualExpiryMs = 90 * 24 * 3_600_000
const loopback = ["127.0.0.1", "::1"]

const unitOf: Readonly<Record<Role, string>> = { worker: "swarm-worker", manager: "swarm-manager" }

/** The fields of a certificate that is good for `expiryMs` from `now`; at least an hour. */
export function certify(member: Member, now: number, expiryMs: number): CertificateFields {
  return {
    subject: `O=${member.clusterId}, OU=${unitOf[member.role]}, CN=${member.nodeId}`,
    // The role stands among the names, so that a client can demand to speak to a manager.
    dnsNames: [unitOf[member.role], member.nodeId],
    addresses: [...new Set([...member.addresses, ...loopback])],
    notBefore: now - backDateMs,
    notAfter: now + Math.max(shortestMs, expiryMs)
  }
}

/** Who a certificate's subject names, when it is one of ours. The parts may stand in any order, a line each. */
export function parseSubject(subject: string): Omit<Member, "addresses"> | undefined {
  const parts = new Map(
    subject.split(/\n|, /).map((part) => {
      const at = part.indexOf("=")
      return [part.slice(0, at), part.slice(at + 1)] as const
    })
  )
  const [nodeId, clusterId, unit] = [parts.get("CN"), parts.get("O"), parts.get("OU")]
  const role = unit === unitOf.manager ? "manager" : unit === unitOf.worker ? "worker" : undefined
  if (nodeId === undefined || clusterId === undefined || role === undefined) return undefined
  return { nodeId, clusterId, role }
}
