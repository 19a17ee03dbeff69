/** One request to whatever answers HTTP on a unix socket. */
import http from "node:http"

export interface Answered {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: the API's shapes
  readonly body: any
}

/** One request on a unix socket, on a connection of its own; fails after `withinMs`. */
export const request = (
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
  withinMs = 5_000
): Promise<Answered> =>
  new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const asked = http.request(
      {
        ...{ socketPath, method, path, agent: false, signal: AbortSignal.timeout(withinMs) },
        headers: text === undefined ? {} : { "content-type": "application/json" }
      },
      (response) => {
        let answer = ""
        response.setEncoding("utf8")
        response.on("data", (part) => {
          answer += part
        })
        response.on("error", reject)
        response.on("end", () => {
          try {
            resolve({ status: response.statusCode ?? 0, body: JSON.parse(answer) })
          } catch {
            resolve({ status: response.statusCode ?? 0, body: answer })
          }
        })
      }
    )
    asked.on("error", reject)
    asked.end(text)
  })
