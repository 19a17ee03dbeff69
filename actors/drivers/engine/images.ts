/**
 * Makes images present, without letting a silent registry hold up tasks whose image is already here.
 *
 * As in Swarm, a tag is always asked for at its registry, and when that fails the local image will do. Three things
 * keep this from costing a deploy anything:
 * - Thirty tasks that want one image share one attempt, and those that come within the next seconds its outcome.
 * - When the image is here, we wait only so long for the registry's first word. A registry that has answered is
 *   waited for to the end: it may have a newer image under the same tag.
 * - A registry that stayed silent or could not be reached is not waited for again for half a minute.
 */
import { Buffer } from "node:buffer"
import process from "node:process"
import * as NodeStream from "@effect/platform-node/NodeStream"
import { Deferred, Effect, Exit, Fiber, Option, Result, Schema, type Scope, Stream } from "effect"
import { type EngineClientService, explain } from "#actors/drivers/engine/client.ts"
import { Progress } from "#actors/drivers/engine/shapes.ts"
import { ExecutorError } from "#actors/drivers/executor.ts"

export interface ImageOptions {
  /** Never ask a registry for an image that is here; Swarm's `DOCKER_SERVICE_PREFER_OFFLINE_IMAGE=1`. */
  readonly preferOffline?: boolean
  /** How long a registry may take to say its first word while the image is here. */
  readonly registryPatienceMs?: number
}

// A cold registry (DNS, TLS, token, manifest) answers within 2 s; a name server that is gone takes 10 s and more.
const defaultPatienceMs = 3_000
// Tasks of one deploy arrive within this; a tag pushed anew later is seen.
const rememberOutcomeMs = 5_000
const rememberSilenceMs = 30_000

/** How the Engine, in Go's words, tells that there was no registry to talk to. */
const unreachable =
  /no such host|connection refused|connection reset|i\/o timeout|unreachable|no route to host|handshake timeout|Client\.Timeout|deadline exceeded|server misbehaving|EOF/

export interface ParsedImage {
  /** Without tag and digest. */
  readonly name: string
  /** A tag or a digest; `latest` when neither is given. */
  readonly reference: string
  readonly pinned: boolean
  /** `docker.io` unless the first part of the name is a host. */
  readonly registry: string
}

/** `host:5000/team/app:1@sha256:…` in its parts; a digest wins over a tag, as in the Engine. */
export function parseImage(image: string): ParsedImage {
  const [tagged = "", digest] = image.split("@")
  const colon = tagged.lastIndexOf(":")
  const hasTag = colon > tagged.lastIndexOf("/")
  const name = hasTag ? tagged.slice(0, colon) : tagged
  const host = name.includes("/") ? (name.split("/")[0] ?? "") : ""
  const isHost = host.includes(".") || host.includes(":") || host === "localhost"
  return {
    name,
    reference: digest ?? (hasTag ? tagged.slice(colon + 1) : "latest"),
    pinned: digest !== undefined,
    registry: isHost ? host : "docker.io"
  }
}

/** `X-Registry-Auth` in the one spelling that every Engine reads; fails when it is not base64 of a JSON object. */
export function normaliseAuth(auth: string): string | undefined {
  try {
    const json: unknown = JSON.parse(Buffer.from(auth, "base64").toString())
    if (typeof json !== "object" || json === null || Array.isArray(json)) return undefined
    // Go's base64.URLEncoding wants the padding that Node leaves out.
    const encoded = Buffer.from(JSON.stringify(json)).toString("base64")
    return encoded.replaceAll("+", "-").replaceAll("/", "_")
  } catch {
    return undefined
  }
}

interface Attempt {
  readonly done: Deferred.Deferred<void, ExecutorError>
  /** Completed when the registry has said something, or the attempt is over. */
  readonly answered: Deferred.Deferred<void>
  fiber?: Fiber.Fiber<unknown, unknown>
  /** Tasks that cannot go on without it. */
  waiting: number
}

/** The pull of one Engine. Attempts run in `scope`: a task that goes on without waiting leaves it to the next. */
export function makePull(client: EngineClientService, options: ImageOptions, scope: Scope.Scope) {
  const preferOffline = options.preferOffline ?? process.env.DOCKER_SERVICE_PREFER_OFFLINE_IMAGE === "1"
  const patienceMs = options.registryPatienceMs ?? defaultPatienceMs
  const attempts = new Map<string, Attempt>()
  const looks = new Map<string, Deferred.Deferred<boolean, ExecutorError>>()
  const asked = new Recent()
  const silent = new Recent()

  const look = (image: string, fine: ReadonlyArray<number>) =>
    client.call({ operation: "pull", method: "GET", path: `/images/${escapeImage(image)}/json`, fine })
  /** Whether the Engine has it. Who asks while another asks shares the answer. */
  const isHere = (image: string) =>
    Effect.suspend(() => {
      const underWay = looks.get(image)
      if (underWay !== undefined) return Deferred.await(underWay)
      const seen = Deferred.makeUnsafe<boolean, ExecutorError>()
      looks.set(image, seen)
      return look(image, [404]).pipe(
        Effect.map((answer) => typeof answer === "object" && answer !== null && "Id" in answer),
        Effect.onExit((exit) =>
          Effect.sync(() => {
            looks.delete(image)
            Deferred.doneUnsafe(seen, exit)
          })
        ),
        Effect.exit,
        // Not of the task that asked first: it may be stopped, and the others wait on.
        Effect.forkIn(scope),
        Effect.andThen(Deferred.await(seen))
      )
    })

  const ask = (image: ParsedImage, auth: string | undefined, answered: Deferred.Deferred<void>) =>
    Effect.gen(function* () {
      const response = yield* client.open({
        operation: "pull",
        method: "POST",
        path: "/images/create",
        query: { fromImage: image.name, tag: image.reference },
        registryAuth: auth,
        within: "forever"
      })
      // The Engine begins its answer when the registry has given it the manifest.
      yield* Deferred.succeed(answered, undefined)
      yield* NodeStream.fromReadable({
        evaluate: () => response,
        onError: (error) => explain("pull", client.dockerHost, error)
      }).pipe(Stream.decodeText(), Stream.splitLines, Stream.runForEach(failOnError))
    })

  /** Joins the attempt at this image that is under way, or begins one. */
  const join = Effect.fnUntraced(function* (key: string, image: ParsedImage, auth: string | undefined) {
    const underWay = attempts.get(key)
    if (underWay !== undefined) return underWay
    const attempt: Attempt = { done: Deferred.makeUnsafe(), answered: Deferred.makeUnsafe(), waiting: 0 }
    attempts.set(key, attempt)
    attempt.fiber = yield* ask(image, auth, attempt.answered).pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          attempts.delete(key)
          if (Exit.isSuccess(exit)) asked.note(key, rememberOutcomeMs)
          Deferred.doneUnsafe(attempt.done, exit)
          Deferred.doneUnsafe(attempt.answered, Exit.void)
        })
      ),
      Effect.exit,
      Effect.forkIn(scope)
    )
    return attempt
  })

  /** Waits to the end; the last one to give up takes the attempt with it. */
  const waitFor = (attempt: Attempt) =>
    Effect.suspend(() => {
      attempt.waiting++
      return Deferred.await(attempt.done)
    }).pipe(
      Effect.onInterrupt(() => {
        attempt.waiting--
        return attempt.waiting === 0 && attempt.fiber !== undefined
          ? Effect.asVoid(Effect.forkIn(Fiber.interrupt(attempt.fiber), scope))
          : Effect.void
      })
    )

  /** What to say when the image is neither here nor to be had. */
  const refuse = (image: string, error: ExecutorError) =>
    Effect.gen(function* () {
      // Lost the Engine, or broke off half-way: that is the news.
      if (error.status === undefined) return yield* error
      yield* Effect.logWarning(`Cannot pull ${image}: ${error.message}`)
      // In the words that the Engine has for a container of such an image: `No such image: nosuch:latest`.
      yield* Effect.mapError(look(image, []), (missing) => {
        const [words = missing.message] = /No such image: \S+$/.exec(missing.message) ?? []
        return new ExecutorError({ ...missing, message: words })
      })
    })

  return Effect.fn("engine.pull")(function* (image: string, registryAuth: string | undefined) {
    const parsed = parseImage(image)
    const auth = registryAuth ? normaliseAuth(registryAuth) : undefined
    if (registryAuth && auth === undefined) {
      return yield* new ExecutorError({
        operation: "pull",
        temporary: false,
        message: "registry credentials: expected base64 of a JSON object, as X-Registry-Auth carries it"
      })
    }
    const key = `${image} ${auth ?? ""}`
    const here = yield* isHere(image)
    if (here && (parsed.pinned || preferOffline || asked.has(key) || silent.has(parsed.registry))) return

    const attempt = yield* join(key, parsed, auth)
    if (!here) return yield* Effect.catch(waitFor(attempt), (error) => refuse(image, error))

    const spoke = yield* Effect.timeoutOption(Deferred.await(attempt.answered), patienceMs)
    if (Option.isNone(spoke)) {
      silent.note(parsed.registry, rememberSilenceMs)
      return yield* Effect.logWarning(`Using the local ${image}: ${parsed.registry} does not answer`)
    }
    const outcome = yield* Effect.result(waitFor(attempt))
    if (Result.isSuccess(outcome)) return
    const { message } = outcome.failure
    // A no to this image, or to these credentials, says nothing of the registry's other images.
    if (unreachable.test(message)) silent.note(parsed.registry, rememberSilenceMs)
    else asked.note(key, rememberOutcomeMs)
    yield* Effect.logDebug(`Using the local ${image}: ${message}`)
  })
}

const isProgress = Schema.is(Progress)

/** The Engine answers 200 before it knows how the pull ends, and puts a failure into the body. */
const failOnError = (line: string): Effect.Effect<void, ExecutorError> => {
  if (!line.includes('"error"')) return Effect.void
  const progress: unknown = JSON.parse(line)
  if (!isProgress(progress) || !progress.error) return Effect.void
  return Effect.fail(new ExecutorError({ operation: "pull", temporary: false, message: progress.error }))
}

const escapeImage = (image: string): string => image.split("/").map(encodeURIComponent).join("/")

/** Keys that count for a while. */
class Recent {
  readonly #until = new Map<string, number>()

  note(key: string, forMs: number): void {
    const now = Date.now()
    for (const [old, until] of this.#until) if (until <= now) this.#until.delete(old)
    this.#until.set(key, now + forMs)
  }

  has(key: string): boolean {
    return (this.#until.get(key) ?? 0) > Date.now()
  }
}
