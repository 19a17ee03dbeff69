/**
 * `POST /raft/backup`: the whole state at one entry, sealed here, so that what opens it leaves this process under the
 * passphrase only. Streamed as it is taken.
 */
import { Effect, Schema } from "effect"
import { answerOf, readBody } from "#actors/gateway/body.ts"
import type { RouteSet } from "#actors/gateway/listener.ts"
import { problem, refusing, toResponse } from "#actors/gateway/response.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { toIso } from "#actors/model/time.ts"
import { firstIncarnation } from "#actors/raft/incarnation.ts"
import { contentsOf, type Manifest } from "#actors/recovery/backup.ts"
import { newSeal, sealed } from "#actors/recovery/sealed-file.ts"
import { wordsOf } from "#runtime/words-of.ts"

export interface BackupRoutesOptions {
  /** Absent while this node is no manager. */
  readonly ledger: () => LedgerService | undefined
  readonly nodeId: string
  /** Ours. */
  readonly version: string
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  /** On every answer. */
  readonly headers: () => Readonly<Record<string, string>>
}

const shortestPassphrase = 8

/** `Local`: what this manager has, also where nobody leads and others may have more. */
const Body = Schema.Struct({ Passphrase: Schema.String, Local: Schema.optionalKey(Schema.Boolean) })

export const backupRoutes = (options: BackupRoutesOptions): RouteSet => {
  const { ledger: current, headers } = options
  const take = Effect.fnUntraced(function* (request: Request) {
    const { Passphrase: passphrase, Local: isLocal = false } = yield* readBody(request, Body)
    if (passphrase.length < shortestPassphrase) {
      return yield* refusing("invalidArgument", `a passphrase has at least ${shortestPassphrase} characters`)
    }
    const ledger = current()
    if (ledger === undefined) {
      return yield* refusing("unavailable", "This node is not a swarm manager: only a manager has the state")
    }
    if (!isLocal) {
      yield* ledger.readIndex.pipe(
        Effect.timeout("5 seconds"),
        Effect.catch(() =>
          refusing(
            "unavailable",
            "The swarm does not have a leader, so others may have more than this manager: what it has alone is backed up with --local"
          )
        )
      )
    }
    const seal = yield* Effect.promise(() => newSeal(passphrase))
    const { cluster, index, term, digest, chunks } = ledger.snapshot()
    if (cluster?.Roots === undefined) {
      return yield* refusing("unavailable", "The cluster has no certificate authority yet.")
    }
    const manifest: Manifest = {
      format: 1,
      version: options.version,
      createdAt: toIso(options.clock()),
      clusterId: cluster.ID,
      incarnation: cluster.Incarnation ?? firstIncarnation,
      nodeId: options.nodeId,
      index,
      term,
      digest
    }
    const bytes = sealed(seal, contentsOf(manifest, chunks))
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        const next = bytes.next()
        if (next.done === true) controller.close()
        else controller.enqueue(next.value)
      },
      cancel: () => void bytes.return(undefined)
    })
    return new Response(body, {
      headers: { ...headers(), "Content-Type": "application/octet-stream", "Cache-Control": "no-store" }
    })
  })
  return {
    owns: (method, path) => method === "POST" && path === "/raft/backup",
    fetch: (request) =>
      take(request).pipe(
        Effect.catch((error) => Effect.succeed(answerOf(error))),
        Effect.catchDefect((defect) => Effect.succeed(problem(500, wordsOf(defect)))),
        Effect.map((answer) => (answer instanceof Response ? answer : toResponse(answer, headers()))),
        Effect.runPromise
      )
  }
}
