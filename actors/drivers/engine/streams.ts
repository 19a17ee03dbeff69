/** The Engine's two endless answers, events and logs, as streams that fail when the connection is lost. */
import * as NodeStream from "@effect/platform-node/NodeStream"
import { Effect, Schema, Stream } from "effect"
import { type EngineClientService, type EngineRequest, explain } from "#actors/drivers/engine/client.ts"
import { LogLines } from "#actors/drivers/engine/log-lines.ts"
import { EngineEvent, Inspected } from "#actors/drivers/engine/shapes.ts"
import { translateEvent } from "#actors/drivers/engine/translate.ts"
import { understand } from "#actors/drivers/engine/understand.ts"
import {
  type ContainerEvent,
  ExecutorError,
  type LogLine,
  type LogOptions
} from "#actors/drivers/executor.ts"

const bytes = (
  client: EngineClientService,
  request: EngineRequest
): Stream.Stream<Uint8Array, ExecutorError> =>
  Stream.unwrap(
    Effect.map(client.open(request), (response) =>
      NodeStream.fromReadable({
        evaluate: () => response,
        onError: (error) => explain(request.operation, client.dockerHost, error)
      })
    )
  )

const isEvent = Schema.is(EngineEvent)

/**
 * Events of containers with all of `labels` (`key` or `key=value`), from the moment the stream is run: the time is
 * taken then, so that what happens while the connection is made is not missed. Fails, temporarily, when it ends.
 */
export function watchEvents(
  client: EngineClientService,
  labels: ReadonlyArray<string>
): Stream.Stream<ContainerEvent, ExecutorError> {
  const filters = {
    type: ["container"],
    event: ["start", "die", "oom", "health_status", "destroy"],
    label: labels
  }
  const lost = new ExecutorError({
    operation: "events",
    temporary: true,
    message: `Cannot talk to the Docker Engine at ${client.dockerHost}: the event stream ended`
  })
  return Stream.suspend(() =>
    bytes(client, {
      operation: "events",
      method: "GET",
      path: "/events",
      query: { since: (Date.now() / 1000).toFixed(3), filters: JSON.stringify(filters) }
    })
  ).pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.map((line) => {
      const event = parse(line)
      return isEvent(event) ? translateEvent(event) : undefined
    }),
    Stream.filter((event) => event !== undefined),
    Stream.concat(Stream.fail(lost))
  )
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** A container's log, oldest first; ends when the container does unless it is followed, in which case then too. */
export function readLogs(
  client: EngineClientService,
  id: string,
  options: LogOptions
): Stream.Stream<LogLine, ExecutorError> {
  const inspected = client
    .call({ operation: "logs", method: "GET", path: `/containers/${encodeURIComponent(id)}/json` })
    .pipe(Effect.flatMap(understand("logs", Inspected)))
  const lines = Effect.map(inspected, (container) => {
    const parser = new LogLines({ tty: container.Config.Tty ?? false, details: options.details })
    return bytes(client, {
      operation: "logs",
      method: "GET",
      path: `/containers/${encodeURIComponent(id)}/logs`,
      query: {
        stdout: options.stdout,
        stderr: options.stderr,
        follow: options.follow,
        since: options.since === 0 ? undefined : options.since,
        until: options.until === 0 ? undefined : options.until,
        tail: options.tail,
        details: options.details,
        timestamps: true
      }
    }).pipe(
      Stream.flatMap((chunk) => Stream.fromIterable(parser.push(chunk))),
      Stream.concat(Stream.suspend(() => Stream.fromIterable(parser.end())))
    )
  })
  return Stream.unwrap(lines)
}
