/**
 * The one rule of ours among others': Docker's own drop what is led on to a container that it has not published itself,
 * and a verdict of ours that lets it through would not be the last. So it stands where Docker asks administrators to
 * write theirs, after theirs, and carries our name.
 */
import { Effect } from "effect"
import { ingressMark } from "#actors/drivers/kernel/ingress.ts"
import { ingressTable } from "#actors/drivers/kernel/names.ts"
import { type KernelError, run } from "#actors/drivers/kernel/run.ts"

/** Docker's place for them; where it has none, the chain that everything passes. */
const [administrators, everybody] = ["DOCKER-USER", "FORWARD"]

/**
 * What `iptables` is to be told, in this order, where it lists its rules like this (`-S`): nothing where our rule stands
 * where it should, or would change nothing.
 */
export function mend(
  listed: ReadonlyArray<string>,
  wanted: boolean,
  nodeId: string
): ReadonlyArray<ReadonlyArray<string>> {
  const name = ingressTable(nodeId)
  const rule = ["-m", "connmark", "--mark", ingressMark, "-m", "comment", "--comment", name, "-j", "ACCEPT"]
  const isOurs = (line: string): boolean =>
    line.includes(`--comment ${name} `) || line.includes(`--comment "${name}" `)
  const ours = listed.filter(isOurs)
  const chain = wanted ? chainFor(listed) : undefined
  const others = listed.filter((line) => line.startsWith(`-A ${chain} `) && !isOurs(line))
  // What comes after the chain's end is never asked.
  const end = others.findIndex((line) => /^-A \S+ -j (RETURN|ACCEPT|DROP|REJECT)/.test(line))
  const last = end < 0 ? others.length : end
  const at = listed.filter((line) => line.startsWith(`-A ${chain} `)).findIndex(isOurs)
  if (chain !== undefined && ours.length === 1 && at >= 0 && at <= last) return []
  const place = chain === everybody ? 1 : last + 1
  return [
    ...ours.map((line) => ["-D", line.split(" ")[1] ?? "", ...rule]),
    ...(chain === undefined ? [] : [["-I", chain, String(place), ...rule]])
  ]
}

function chainFor(listed: ReadonlyArray<string>): string | undefined {
  if (listed.includes(`-N ${administrators}`)) return administrators
  return listed.includes(`-P ${everybody} DROP`) ? everybody : undefined
}

/** As of the tables (`kernel/own-tables.ts`). */
const lookEveryMs = 1_900
const overdueMs = 4_000

/** The rule of one node, in both families. */
export class LetThrough {
  readonly #nodeId: string
  /** How it was left, and when: a look costs two processes. */
  #was: boolean | undefined
  #lookedMs = 0

  constructor(nodeId: string) {
    this.#nodeId = nodeId
  }

  /** Puts the rule where it belongs, or removes it; true when it was not so already. */
  readonly bring = Effect.fnUntraced(function* (this: LetThrough, wanted: boolean, isLook: boolean) {
    const isRecent = performance.now() - this.#lookedMs < (isLook ? lookEveryMs : overdueMs)
    if (wanted === this.#was && (isRecent || !wanted)) return false
    this.#was = undefined
    let changed = false
    for (const command of ["iptables", "ip6tables"]) {
      for (const args of mend(yield* rulesOf(command), wanted, this.#nodeId)) {
        yield* run(command, ["-w", "5", ...args], "")
        changed = true
      }
    }
    this.#was = wanted
    this.#lookedMs = performance.now()
    return changed
  })
}

/** A machine without the tool, or of a kernel without the family, has none. */
const rulesOf = (command: string): Effect.Effect<ReadonlyArray<string>, KernelError> =>
  run(command, ["-w", "5", "-S"], "").pipe(
    Effect.map((output) => output.split("\n")),
    Effect.catchIf(
      ({ message }) => !message.includes("xtables lock"),
      () => Effect.succeed([])
    )
  )
