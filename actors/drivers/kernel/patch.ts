/**
 * What makes one of our tables another without writing all of it: where hundreds of services are in a table and one of
 * them changes, that takes a fifth of the time. It is read off what was written and what is to be, line by line: chains that
 * are led to (`to…`), elements of sets, and `add element`; where anything else differs, the table is written as a whole.
 */

interface Parts {
  /** All that cannot be patched. */
  readonly frame: string
  /** The one rule of each chain. */
  readonly chains: ReadonlyMap<string, string>
  /** By set or map. */
  readonly elements: ReadonlyMap<string, ReadonlySet<string>>
}

const chainLine = /^ {2}chain (to\w+) \{ (.*?);? \}$/
const setLine = /^ {2}set (\w+) \{ (.*?)(?: elements = \{ (.*) \};)? \}$/
const elementsLine = /^add element inet \S+ (\w+) \{ (.*) \}$/

function parse(text: string): Parts {
  const frame: Array<string> = []
  const chains = new Map<string, string>()
  const elements = new Map<string, ReadonlySet<string>>()
  for (const line of text.split("\n")) {
    const [, chain, rule] = chainLine.exec(line) ?? []
    const [, map, added] = elementsLine.exec(line) ?? []
    const [, set, type, members] = setLine.exec(line) ?? []
    if (chain !== undefined && rule !== undefined) chains.set(chain, rule)
    else if (map !== undefined && added !== undefined) elements.set(map, new Set(added.split(", ")))
    else if (set !== undefined && type !== undefined && !type.includes("flags")) {
      frame.push(`set ${set} ${type}`)
      elements.set(set, new Set(members?.split(", ")))
    } else if (line !== "") frame.push(line)
  }
  return { frame: frame.join("\n"), chains, elements }
}

const none: ReadonlySet<string> = new Set()

/** The script for `nft`; `undefined` where the table is to be written as a whole. */
export function patch(table: string, before: string, after: string): string | undefined {
  const [was, is] = [parse(before), parse(after)]
  if (was.frame !== is.frame) return undefined
  const removed: Array<string> = []
  const made: Array<string> = []
  const added: Array<string> = []
  const dropped: Array<string> = []
  for (const name of new Set([...was.elements.keys(), ...is.elements.keys()])) {
    const [old, now] = [was.elements.get(name) ?? none, is.elements.get(name) ?? none]
    const gone = [...old].filter((element) => !now.has(element)).map((element) => element.split(" : ")[0])
    const come = [...now].filter((element) => !old.has(element))
    if (gone.length > 0) removed.push(`delete element inet ${table} ${name} { ${gone.join(", ")} }`)
    if (come.length > 0) added.push(`add element inet ${table} ${name} { ${come.join(", ")} }`)
  }
  for (const [name, rule] of is.chains) {
    const old = was.chains.get(name)
    if (old === rule) continue
    made.push(`${old === undefined ? "add" : "flush"} chain inet ${table} ${name}`)
    made.push(`add rule inet ${table} ${name} ${rule}`)
  }
  for (const name of was.chains.keys()) {
    if (!is.chains.has(name))
      dropped.push(`flush chain inet ${table} ${name}`, `delete chain inet ${table} ${name}`)
  }
  // No element may lead to a chain that is not there, before or after.
  return [removed, made, added, dropped].flatMap((lines) => lines.map((line) => `${line}\n`)).join("")
}
