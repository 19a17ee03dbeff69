/** The dashboard and the alerts in deploy/monitoring ask for nothing that no node tells. */
import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { clusterMetrics } from "#actors/meter/families.ts"
import { History } from "#actors/meter/history.ts"
import { TestGateway } from "#test/support/gateway.ts"

const read = (name: string): string => readFileSync(`deploy/monitoring/${name}`, "utf8")
const sources = ["runtime/metrics.ts", "actors/raft/metrics.ts", "actors/ledger/metrics.ts"]

test("every figure that the dashboard and the alerts name is told by some node", async () => {
  const cluster = await TestGateway.start()
  const told = new Set(clusterMetrics(cluster.ledger.read, new History(), 0).map(({ name }) => name))
  for (const source of sources)
    for (const [, name = ""] of readFileSync(source, "utf8").matchAll(/"(troupe_[a-z0-9_]+)"/g))
      told.add(name)
  const asked = new Set(
    ["dashboard.json", "rules.yaml"].flatMap((file) =>
      [...read(file).matchAll(/\btroupe_[a-z0-9_]+/g)].map(([name]) => name.replace(/_(total|bucket)$/, ""))
    )
  )
  expect(asked.size).toBeGreaterThan(15)
  expect([...asked].filter((name) => !told.has(name))).toEqual([])
})

test("the dashboard is JSON whose panels lie beside each other", () => {
  const { panels } = JSON.parse(read("dashboard.json")) as {
    panels: ReadonlyArray<{ id: number; gridPos: { x: number; y: number; w: number; h: number } }>
  }
  const taken = new Set<string>()
  for (const { gridPos } of panels) {
    expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(taken.has(`${x},${y}`)).toBe(false)
        taken.add(`${x},${y}`)
      }
  }
})
