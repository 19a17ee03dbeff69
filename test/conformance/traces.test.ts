/** What docker 28.2.2 sent while a cluster's life was recorded, answered by us and compared with the Engine. */
import { expect, test } from "bun:test"
import { load, replay } from "#test/conformance/replay.ts"

const compared = await replay(load("./fixtures/cli-28.2.jsonl"))

const byCommand = Map.groupBy(compared, ({ request }) => request.command)
for (const [command, answers] of byCommand) {
  const sent = answers.filter(({ skipped }) => skipped === undefined)
  if (sent.length === 0) continue
  test(`answers ${command.slice(0, 90)} as the Engine does`, () => {
    const differences = sent.flatMap(({ request, differences }) =>
      differences.map((difference) => `${request.m} ${request.path}: ${difference}`)
    )
    expect(differences).toEqual([])
  })
}

test("the recording is replayed nearly whole", () => {
  const skipped = compared.filter(({ skipped }) => skipped !== undefined)
  const reasons = Map.groupBy(skipped, ({ skipped }) => skipped ?? "")
  const why = [...reasons].map(([reason, all]) => `${all.length} because ${reason}`).join(", ")
  console.log(
    `docker CLI recording: ${compared.length - skipped.length} answers compared, ${skipped.length} skipped (${why})`
  )
  expect(compared.length - skipped.length).toBeGreaterThan(150)
  expect(skipped.length).toBeLessThan(10)
})
