/** The process executor on this machine: the contract, and what only processes have. */
import { afterAll } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ProcessExecutor } from "#actors/drivers/process/executor.ts"
import { executorContract } from "#test/contract/executor.ts"

const folder = mkdtempSync(join(tmpdir(), "troupe-process-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

executorContract({ kind: "process", image: "host", open: () => ProcessExecutor.layer({ folder }) })
