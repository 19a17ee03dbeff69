/** The Docker executor against a real Engine: the contract, and what only containers have. */
import { beforeAll } from "bun:test"
import { DockerExecutor } from "#actors/drivers/engine/executor.ts"
import { executorContract } from "#test/contract/executor.ts"
import { dockerHost, ensureTestImage, testImage, uniqueName } from "#test/support/engine.ts"

const own = { "io.troupe.test": uniqueName("docker") }

beforeAll(() => ensureTestImage())

executorContract({
  kind: "docker",
  image: testImage,
  open: () => DockerExecutor.layer({ dockerHost, own })
})
