/** The cluster's history as it happens, over the socket, taken up again after the last change that came. */
import http from "node:http"
import { Effect } from "effect"
import { type ApiError, refusedWith, unreached } from "#cli/client.ts"

export interface FollowOptions {
  readonly socket: string
  /** With its query, `follow=1` among it. */
  readonly path: string
  /** A `HistoryRecord` as JSON. */
  readonly onChange: (text: string) => void
  /** Why changes are missing, or that the connection was lost. */
  readonly onProblem: (text: string) => void
}

const pause = "1 second"

/** Never ends by itself; fails where the request is wrong or never was answered. */
export const followHistory = Effect.fnUntraced(function* (options: FollowOptions) {
  let last: string | undefined
  let hasBegun = false
  while (true) {
    const end = yield* once(options, last, (id, text) => {
      hasBegun = true
      if (id !== undefined) last = id
      if (text !== undefined) options.onChange(text)
    }).pipe(
      Effect.catch((error) => {
        if (error.status === 410) return Effect.succeed("forgotten" as const)
        const mayPass = error.status === 0 || error.status >= 500
        return hasBegun && mayPass ? Effect.succeed("lost" as const) : Effect.fail(error)
      })
    )
    if (end === "forgotten") {
      options.onProblem(`what came after ${last} is no longer known: some changes are missing here`)
      last = undefined
    } else options.onProblem("the connection was lost: trying again")
    yield* Effect.sleep(pause)
  }
})

/** One request to its end. */
const once = (
  { socket, path }: FollowOptions,
  last: string | undefined,
  onEvent: (id: string | undefined, text: string | undefined) => void
): Effect.Effect<"lost" | "forgotten", ApiError> =>
  Effect.callback((resume) => {
    const headers = last === undefined ? {} : { "Last-Event-ID": last }
    const request = http.get({ socketPath: socket, path, headers, agent: false }, (response) => {
      let text = ""
      let isForgotten = false
      response.setEncoding("utf8")
      response.on("data", (part: string) => {
        text += part
        if (response.statusCode !== 200) return
        const events = text.split("\n\n")
        text = events.pop() ?? ""
        for (const event of events) {
          const field = (name: string): string | undefined =>
            event
              .split("\n")
              .find((line) => line.startsWith(`${name}: `))
              ?.slice(name.length + 2)
          if (field("event") === "lost") isForgotten = true
          else onEvent(field("id"), field("data"))
        }
      })
      const over = (): void => {
        if (response.statusCode === 200) resume(Effect.succeed(isForgotten ? "forgotten" : "lost"))
        else resume(Effect.fail(refusedWith(response.statusCode, text)))
      }
      response.on("end", over)
      response.on("error", over)
      response.on("aborted", over)
    })
    request.on("error", (cause) => resume(Effect.fail(unreached(socket, cause))))
    return Effect.sync(() => request.destroy())
  })
