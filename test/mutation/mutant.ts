/** A defect to be put in on purpose: which text becomes which, and the tests that must notice. */

export interface Edit {
  readonly file: string
  readonly before: string
  readonly after: string
}

/**
 * `test` is a shell command that must fail. `fails`, where given, is part of a failing test's title, so that the
 * mutant does not die of something else.
 */
export interface Mutant {
  readonly name: string
  readonly says: string
  readonly test: string
  readonly fails?: string
  readonly edits: ReadonlyArray<Edit>
}

/** The file is not in the form that README.md describes. */
export class BadMutant extends Error {
  override readonly name = "BadMutant"
}

const field = /^(says|test|fails): (.+)$/
const begins = /^--- (.+)$/

/** Every fourth, another quarter every day; `day` counts from any moment on. */
export const quarterOf = <A>(all: ReadonlyArray<A>, day: number): ReadonlyArray<A> =>
  all.filter((_, i) => i % 4 === day % 4)

/** Reads a `.mutant` file: fields, then for each edit the file's name, the old text, `+++`, the new text, `===`. */
export function parseMutant(name: string, text: string): Mutant {
  const fields = new Map<string, string>()
  const edits: Array<Edit> = []
  let file: string | undefined
  let part: Array<string> = []
  let before: string | undefined
  for (const line of text.split("\n")) {
    const start = begins.exec(line)
    if (file === undefined) {
      const found = field.exec(line)
      if (found?.[1] !== undefined && found[2] !== undefined) fields.set(found[1], found[2])
      else if (start?.[1] !== undefined) file = start[1]
      else if (line.trim() !== "") throw new BadMutant(`Cannot read ${name}: what is '${line}'`)
    } else if (line === "+++" && before === undefined) {
      before = part.join("\n")
      part = []
    } else if (line === "===" && before !== undefined) {
      edits.push({ file, before, after: part.join("\n") })
      file = undefined
      before = undefined
      part = []
    } else part.push(line)
  }
  const says = fields.get("says")
  const test = fields.get("test")
  const fails = fields.get("fails")
  if (file !== undefined)
    throw new BadMutant(`Cannot read ${name}: the edit of ${file} does not end with ===`)
  if (says === undefined || test === undefined || edits.length === 0) {
    throw new BadMutant(`Cannot read ${name}: it needs says, test and an edit`)
  }
  return { name, says, test, ...(fails === undefined ? {} : { fails }), edits }
}

/** The file with the edit made; the old text must be there exactly once. */
export function mutate(content: string, edit: Edit): string {
  const at = content.indexOf(edit.before)
  if (edit.before.trim() === "" || at < 0) {
    throw new BadMutant(
      `${edit.file} does not hold the old text any more: the mutant needs to follow the code`
    )
  }
  if (content.includes(edit.before, at + 1))
    throw new BadMutant(`${edit.file} holds the old text more than once`)
  return content.slice(0, at) + edit.after + content.slice(at + edit.before.length)
}
