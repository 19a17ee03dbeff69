/** Every command that the sweep covers, and every case of it; each noun's cases are a file of their own. */
import type { Case } from "#test/conformance/case.ts"
import { files } from "#test/conformance/files.ts"
import { flagsOf, verbsOf } from "#test/conformance/help.ts"
import { network } from "#test/conformance/network.ts"
import { node } from "#test/conformance/node.ts"
import type { Command } from "#test/conformance/results.ts"
import { serviceCreate } from "#test/conformance/service-create.ts"
import { serviceLogs } from "#test/conformance/service-logs.ts"
import { serviceNetwork } from "#test/conformance/service-network.ts"
import { serviceOthers } from "#test/conformance/service-others.ts"
import { serviceRollout } from "#test/conformance/service-rollout.ts"
import { serviceUpdate } from "#test/conformance/service-update.ts"
import { stack } from "#test/conformance/stack.ts"
import { swarm } from "#test/conformance/swarm.ts"
import { dockerHost } from "#test/support/engine.ts"

export const cases: ReadonlyArray<Case> = [
  ...serviceCreate,
  ...serviceUpdate,
  ...serviceOthers,
  ...serviceNetwork,
  ...serviceRollout,
  ...serviceLogs,
  ...node,
  ...files,
  ...stack,
  ...swarm,
  ...network
]

const nouns = ["service", "node", "secret", "config", "stack", "swarm", "network"]

/** Every command of these nouns, and every flag, that a CLI offers. */
export const commandsOf = (cli: string): ReadonlyArray<Command> =>
  nouns
    .flatMap((noun) => verbsOf(cli, noun, dockerHost).map((verb) => `${noun} ${verb}`))
    .map((name) => ({ name, flags: flagsOf(cli, name, dockerHost) }))
