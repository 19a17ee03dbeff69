/** What a node's own certificate is told and does, at `<node>/certificate/main`. All of it is said on the node itself. */
import type { Role } from "#actors/authority/protocol.ts"
import type { Issuer } from "#actors/authority/x509.ts"

/** What the node holds. Times are milliseconds since the epoch; `root` is PEM, the one it trusts. */
export interface CertificateFacts {
  readonly role: Role
  /** IP addresses by which it can be reached. */
  readonly addresses: ReadonlyArray<string>
  readonly issuedAt: number
  readonly notAfter: number
  readonly issuer: Issuer
  readonly root: string
}

export type CertificateMessage =
  /** Told by the session at every start: it has no memory. Answered by `Certified`. */
  | { readonly _tag: "Introduce" }
  /** Told by the session: the leader takes this node to have another issuer, or to trust another root, than it should. */
  | { readonly _tag: "Wanted"; readonly issuer?: string; readonly root?: string }
  /** Own timer. */
  | { readonly _tag: "LookAgain" }
  /** Results of own actions. */
  | { readonly _tag: "Holds"; readonly facts: CertificateFacts }
  | { readonly _tag: "NotRenewed"; readonly reason: string }

export type CertificateAction =
  /** Answered by `Holds`. */
  | { readonly _tag: "Read" }
  /** Asks the leader for another certificate, for a node that is reached at `addr`, and uses it. Answered by `Holds` or `NotRenewed`. */
  | { readonly _tag: "Renew"; readonly addr: string }
  /** Trusts this root if it leads to the node's own certificate. Answered by `Holds` or `NotRenewed`. */
  | { readonly _tag: "Trust"; readonly root: string }
