import { expect, test } from "bun:test"
import { freePort } from "#cli/free-port.ts"

const all = Array.from({ length: 20_000 }, (_, at) => 10_000 + at)

test("a port that was promised and is not listened at yet is given to nobody else", async () => {
  expect(all).toContain(await freePort("127.0.0.1"))
  await expect(freePort("127.0.0.1", 0, all)).rejects.toThrow("No port between 10000 and 29999")
})
