/** `/distribution/{name}/json`: what a registry says of an image; the node's Engine knows how to ask. */
import { Effect } from "effect"
import type { Call, Gateway, Handled, Route } from "#actors/gateway/gateway.ts"
import { refusing } from "#actors/gateway/response.ts"

const inspectImage = (gateway: Gateway, call: Call): Handled => {
  const auth = call.request.headers.get("x-registry-auth")
  return gateway.engine
    .call("GET", call.path, undefined, auth === null ? undefined : { "x-registry-auth": auth })
    .pipe(
      Effect.map(({ status, body }) => ({ status, text: JSON.stringify(body ?? {}) })),
      // The client goes on with a warning: the image is then looked up where the task runs.
      Effect.catch((error) => Effect.fail(refusing("unknown", error.message)))
    )
}

export const distributionRoutes: ReadonlyArray<Route> = [
  { method: "GET", path: "/distribution/:name{.+}/json", handle: inspectImage }
]
