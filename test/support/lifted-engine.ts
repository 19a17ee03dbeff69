/** An Engine that says it speaks a newer API than it does, so that clients use what is ours alone of that version. */
import http from "node:http"

export interface LiftedEngine {
  /** For `--docker-host`. */
  readonly host: string
  readonly close: () => void
}

/** Listens at `socket` before the Engine at `target`, both paths of unix sockets; `own` is what that one really speaks. */
export async function liftEngine(
  socket: string,
  target: string,
  own: string,
  said: string
): Promise<LiftedEngine> {
  const server = http.createServer((request, response) => {
    const path = (request.url ?? "/").replace(/^\/v\d+\.\d+\//, `/v${own}/`)
    const { method, headers } = request
    const onward = http.request({ socketPath: target, agent: false, method, path, headers }, (answer) => {
      const lifted = { ...answer.headers }
      if (lifted["api-version"] !== undefined) lifted["api-version"] = said
      if (!path.endsWith("/version")) {
        response.writeHead(answer.statusCode ?? 500, lifted)
        answer.pipe(response)
        return
      }
      let text = ""
      answer.setEncoding("utf8")
      answer.on("data", (part: string) => {
        text += part
      })
      answer.on("end", () => {
        const { "content-length": _length, ...plain } = lifted
        response.writeHead(answer.statusCode ?? 500, plain)
        response.end(text.replaceAll(`"ApiVersion":"${own}"`, `"ApiVersion":"${said}"`))
      })
    })
    onward.on("error", () => response.destroy())
    response.on("close", () => onward.destroy())
    request.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  return {
    host: `unix://${socket}`,
    close: () => {
      server.close()
      server.closeAllConnections()
    }
  }
}
