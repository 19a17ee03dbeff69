/** What `POST /raft/backup` answers before there is anything to seal. */
import { expect, test } from "bun:test"
import { backupRoutes } from "#actors/gateway/routes/backup.ts"

const routes = backupRoutes({
  ledger: () => undefined,
  nodeId: "n1",
  version: "1",
  clock: () => 0,
  headers: () => ({ "Api-Version": "1.41" })
})

async function ask(
  body: string | ReadableStream
): Promise<{ readonly status: number; readonly message: string }> {
  const response = await routes.fetch(
    new Request("http://localhost/raft/backup", {
      method: "POST",
      headers: { "content-type": "application/json", "transfer-encoding": "chunked" },
      body
    })
  )
  expect(response.headers.get("Api-Version")).toBe("1.41")
  const { message } = (await response.json()) as { readonly message: string }
  return { status: response.status, message }
}

const mebibyte = " ".repeat(1024 * 1024)

test("a body that is too large is refused with 413, as everywhere", async () => {
  const parts = ['{"Passphrase":"', ...Array.from({ length: 5 }, () => mebibyte), '"}']
  const body = new ReadableStream({
    pull: (controller) => {
      const part = parts.shift()
      if (part === undefined) controller.close()
      else controller.enqueue(new TextEncoder().encode(part))
    }
  })
  expect(await ask(body)).toEqual({
    status: 413,
    message: "request body is too large: at most 4194304 bytes are accepted"
  })
})

test("what is wrong with a body is said with its own status", async () => {
  expect(await ask('{"Passphrase":"short"}')).toEqual({
    status: 400,
    message: "a passphrase has at least 8 characters"
  })
  expect((await ask("{}")).status).toBe(400)
  expect((await ask('{"Passphrase":"long enough"}')).status).toBe(503)
})
