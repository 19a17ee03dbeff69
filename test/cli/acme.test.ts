import { expect, test } from "bun:test"
import { Effect } from "effect"
import { newAccount } from "#actors/acme/new-account.ts"
import { certificates } from "#actors/network/certificates.ts"
import { type Api, ApiError } from "#cli/client.ts"
import { succeed } from "#cli/commands/acme.ts"
import { TestGateway } from "#test/support/gateway.ts"

/** The API as a command has it, of which the connection breaks after so many writes. */
function breaking(gateway: TestGateway, writes: number): Api {
  let left = writes
  const ask = <A>(method: string, path: string, body?: unknown) =>
    Effect.gen(function* () {
      if (method !== "GET" && left-- <= 0) return yield* new ApiError({ status: 0, message: "it broke" })
      const reply = yield* Effect.promise(() => gateway.call(method, path, body))
      if (reply.status >= 300) return yield* new ApiError({ status: reply.status, message: reply.text })
      return reply.body as A
    })
  return {
    get: (path) => ask("GET", path),
    post: (path, body) => ask("POST", path, body),
    remove: (path) => ask("DELETE", path)
  }
}

const use = (gateway: TestGateway, account: ReturnType<typeof newAccount>, writes = 99): Promise<boolean> =>
  Effect.runPromise(
    succeed(breaking(gateway, writes), account).pipe(
      Effect.match({ onSuccess: () => true, onFailure: () => false })
    )
  )
const inUse = (gateway: TestGateway) => gateway.ledger.read.view(certificates).account?.secret.Spec.Data
const names = async (gateway: TestGateway) =>
  (await gateway.get("/secrets")).body.map(({ Spec }: { Spec: { Name: string } }) => Spec.Name)

test("an account takes another one's place, and wherever that breaks off, one of the two is in use", async () => {
  const [before, after, last] = ["a", "b", "c"].map((name) =>
    newAccount({ directory: `https://${name}.example` })
  )
  if (before === undefined || after === undefined || last === undefined) throw new Error("three accounts")
  const seen: Array<boolean> = []
  for (let writes = 0; ; writes++) {
    const gateway = await TestGateway.start()
    expect(await use(gateway, before)).toBe(true)
    expect(inUse(gateway)).toBe(before.Data as string)
    const isWhole = await use(gateway, after, writes)
    expect([before.Data, after.Data]).toContain(inUse(gateway))
    seen.push(inUse(gateway) === after.Data)
    // Whatever was left is in nobody's way.
    expect(await use(gateway, last)).toBe(true)
    expect(inUse(gateway)).toBe(last.Data as string)
    expect(await names(gateway)).toEqual(["acme-account"])
    if (isWhole) break
  }
  expect(seen).toEqual([false, false, true, true, true])
})
