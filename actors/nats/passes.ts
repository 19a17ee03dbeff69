/**
 * NATS's operator mode: the operator signs accounts, the account signs users, and a server that knows the operator
 * needs no list of users. A pass is a user's JWT, good for one nkey until a time, with its rights written in it.
 *
 * Removing a node revokes its passes in the account's JWT: servers that are given the new one end its connections.
 * https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt
 */
import { encodeAccount, encodeOperator, encodeUser } from "@nats-io/jwt"
import { createAccount, createOperator, createUser, fromSeed } from "@nats-io/nkeys"
import { Effect, Schema } from "effect"
import type { ServerTrust } from "#actors/authority/protocol.ts"

export class PassError extends Schema.TaggedError<PassError>()("PassError", { message: Schema.String }) {}

/** Seeds: secrets. `account` is everyone's, `system` is the servers' own. */
export interface NatsRoots {
  readonly operator: string
  readonly account: string
  readonly system: string
}

/** Subjects that a user may publish to and subscribe to: allow-lists, and nothing else is allowed. */
export interface Rights {
  readonly publish: ReadonlyArray<string>
  readonly subscribe: ReadonlyArray<string>
  /** May answer whoever asks, once per question and within a minute, wherever the answer is to go. */
  readonly answers?: true
}

/** Passes of these keys that were issued before the time (seconds since the epoch) count no more. */
export type Revocations = Readonly<Record<string, number>>

const text = new TextDecoder()
const bytes = new TextEncoder()
const keys = (seed: string) => fromSeed(bytes.encode(seed))

const attempt = <A>(what: string, run: () => Promise<A>): Effect.Effect<A, PassError> =>
  Effect.tryPromise({
    try: run,
    catch: (error) => new PassError({ message: `${what}: ${error instanceof Error ? error.message : error}` })
  })

export const newNatsRoots = (): NatsRoots => ({
  operator: text.decode(createOperator().getSeed()),
  account: text.decode(createAccount().getSeed()),
  system: text.decode(createAccount().getSeed())
})

/** A new user's seed and public key. */
export function newUserKey(): { readonly seed: string; readonly publicKey: string } {
  const user = createUser()
  return { seed: text.decode(user.getSeed()), publicKey: user.getPublicKey() }
}

export const publicKeyOf = (seed: string): string => keys(seed).getPublicKey()

/** Nothing but rights is limited: -1 is none. */
const unlimited = {
  conn: -1,
  subs: -1,
  data: -1,
  payload: -1,
  imports: -1,
  exports: -1,
  leaf: -1,
  wildcards: true,
  disallow_bearer: true
} as const

/** What every server of the cluster is told. */
export const serverTrust = (
  roots: NatsRoots,
  revocations: Revocations = {}
): Effect.Effect<ServerTrust, PassError> =>
  attempt("Cannot sign NATS's accounts", async () => {
    const signer = keys(roots.operator)
    const account = keys(roots.account)
    const system = keys(roots.system)
    return {
      operator: await encodeOperator("troupe", signer, { system_account: system.getPublicKey() }),
      systemAccount: system.getPublicKey(),
      accounts: {
        [account.getPublicKey()]: await encodeAccount(
          "troupe",
          account,
          { limits: unlimited, revocations: { ...revocations } },
          { signer }
        ),
        [system.getPublicKey()]: await encodeAccount("system", system, { limits: unlimited }, { signer })
      }
    }
  })

const answerWithinNs = 60_000_000_000

/** A pass for the owner of `publicKey`, signed by the account with this seed, until `expires` (ms since the epoch). */
export const issuePass = (
  accountSeed: string,
  name: string,
  publicKey: string,
  rights: Rights,
  expires?: number
): Effect.Effect<string, PassError> =>
  attempt(`Cannot issue a NATS pass to ${name}`, () =>
    encodeUser(
      name,
      publicKey,
      keys(accountSeed),
      {
        pub: { allow: [...rights.publish] },
        sub: { allow: [...rights.subscribe] },
        ...(rights.answers && { resp: { max: 1, ttl: answerWithinNs } })
      },
      expires === undefined ? {} : { exp: Math.floor(expires / 1000) }
    )
  )
