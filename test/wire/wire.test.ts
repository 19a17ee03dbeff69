/** Whatever a release has ever sent or written, the next ones understand: `v1/` keeps it, and nothing there changes. */
import { describe, expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Schema } from "effect"
import { parseTable } from "#actors/drivers/data-plane/protocol.ts"
import { type Command, Entry } from "#actors/ledger/commands.ts"
import { decodeEntry, encodeEntry } from "#actors/ledger/encode.ts"
import { Recent } from "#actors/ledger/recent.ts"
import { decodeSnapshot, encodeSnapshot } from "#actors/ledger/snapshot.ts"
import { readEnvelope, writeEnvelope } from "#runtime/envelope.ts"
import type { Absence } from "#runtime/errors.ts"
import { decodeReply, decoderOf, encodeAbsence } from "#runtime/wire.ts"
import { families, fieldsIn, fieldsOf, variantsOf, withStrangers } from "#test/wire/families.ts"

const folder = fileURLToPath(new URL("./v1/", import.meta.url))
const readText = (path: string): string => readFileSync(join(folder, path), "utf8")
/** The examples of one kind, oldest first. New ones are appended; those that are there stay as they are. */
const read = (path: string): ReadonlyArray<unknown> => JSON.parse(readText(path))
const namesIn = (path: string): ReadonlyArray<string> =>
  readdirSync(join(folder, path)).map((name) => name.replace(/\.json$/, ""))

describe.each(families.map((family) => [family.name, family] as const))("%s", (name, family) => {
  const { schema, tag } = family
  const variants = variantsOf(family)
  const decode = decoderOf(schema)
  const encode = Schema.encodeUnknownSync(schema)

  test("has an example of everything that can be said, and of nothing else", () => {
    expect([...namesIn(name)].sort()).toEqual([...variants.keys()].sort())
  })

  describe.each([...variants])("%s", (variant, ast) => {
    const examples = read(`${name}/${variant}.json`)

    test("is decoded and encoded to what it was", () => {
      expect(examples).not.toEqual([])
      for (const example of examples) {
        const decoded = decode(example)
        expect(decoded).toEqual({ ok: true, message: example })
        expect(encode((decoded as { readonly message: unknown }).message)).toEqual(example)
      }
    })

    test("has every field in some example", () => {
      const shown = new Set(examples.flatMap((example) => fieldsIn(ast, example)))
      // An entry's command has examples of its own.
      const isOwn = (field: string): boolean => name !== "entry" || !/^command[.[]/.test(field)
      expect(fieldsOf(ast).filter((field) => !shown.has(field) && isOwn(field))).toEqual([])
    })

    test("is understood with fields that nobody knows yet, which are left out", () => {
      for (const example of examples) {
        expect(decode(withStrangers(ast, example))).toEqual({ ok: true, message: example })
      }
    })

    if (tag !== undefined) {
      test("is refused under a name that nobody knows, and without one", () => {
        for (const example of examples as ReadonlyArray<Record<string, unknown>>) {
          expect(decode({ ...example, [tag]: "Unheard" }).ok).toBe(false)
          const { [tag]: _left, ...nameless } = example
          expect(decode(nameless).ok).toBe(false)
        }
      })
    }
  })
})

describe("an entry of the log", () => {
  const [entry] = read("entry/entry.json") as [Entry]
  const entries = namesIn("command").flatMap((name) =>
    (read(`command/${name}.json`) as ReadonlyArray<Command>).map((command): Entry => ({ ...entry, command }))
  )

  test("is read from bytes as it was written, whatever its command", () => {
    expect(entries.length).toBeGreaterThan(22)
    for (const one of entries) {
      expect(decodeEntry(encodeEntry(one))).toEqual(one)
      expect(Schema.decodeUnknownSync(Entry)(JSON.parse(Buffer.from(encodeEntry(one)).toString()))).toEqual(
        one
      )
    }
  })

  test("halts whoever does not know its type or its version", () => {
    for (const { command } of entries) {
      const newer = { ...entry, command: { ...command, v: 2 } } as unknown as Entry
      expect(() => decodeEntry(encodeEntry(newer))).toThrow(`${command.type} version 2`)
      const strange = {
        ...entry,
        command: { ...command, type: `${command.type}.unheard` }
      } as unknown as Entry
      expect(() => decodeEntry(encodeEntry(strange))).toThrow("does not understand")
    }
  })
})

describe("a snapshot", () => {
  const kinds = ["node", "network", "secret", "config", "service", "task"] as const
  /** In small pieces, so that whatever is read together is torn. */
  const torn = (bytes: Uint8Array): ReadonlyArray<Uint8Array> =>
    Array.from({ length: Math.ceil(bytes.length / 100) }, (_, at) => bytes.subarray(at * 100, at * 100 + 100))
  const restored = (bytes: Uint8Array) => {
    const recent = new Recent()
    const tables = decodeSnapshot(torn(bytes), recent)
    const { index, time, cluster, specs } = tables.freeze()
    const objects = kinds.map((kind) => [...tables.all(kind)])
    return {
      tables,
      recent,
      state: { index, time, cluster, specs: [...specs], objects, recent: recent.save() }
    }
  }
  const lines = readText("snapshot.jsonl")
  const old = restored(Buffer.from(lines))

  test("of format 1, lines of JSON, is restored with every object as it was", () => {
    const kept = lines
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line))
    const of = (kind: string) => kept.filter(({ t }) => t === kind).map(({ o }) => o)
    expect(old.state.objects).toEqual(kinds.map(of))
    for (const objects of old.state.objects) expect(objects).not.toEqual([])
    expect([old.state.cluster]).toEqual(of("cluster"))
    expect([old.state.recent]).toEqual(of("recent"))
    expect(old.state.specs.map(({ serviceId, version, spec }) => [serviceId, version, spec])).toEqual(
      of("spec")
    )
    expect(kept[0]).toEqual({ t: "head", format: 1, index: old.state.index, time: old.state.time })
  })

  test("of format 2 is restored as it was, and written so that it is restored again", () => {
    const kept = restored(readFileSync(join(folder, "snapshot.2")))
    expect(kept.state).toEqual(old.state)
    expect(kept.tables.digest()).toBe(old.tables.digest())
    expect(restored(Buffer.concat([...encodeSnapshot(kept.tables, kept.recent)])).state).toEqual(kept.state)
  })

  test("of a format that nobody knows is refused by its number", () => {
    const newer = Buffer.from(readFileSync(join(folder, "snapshot.2")))
    newer[7] = 77
    expect(() => restored(newer)).toThrow("format 77")
    expect(() => restored(Buffer.from(lines.replace('"format":1', '"format":9')))).toThrow("format 9")
  })
})

describe("absences", () => {
  const examples = read("absences.json") as ReadonlyArray<{
    readonly headers: Record<string, string>
    readonly body: unknown
    readonly absence: { readonly _tag: string } & Record<string, unknown>
  }>

  test.each(examples.map((example) => [example.absence._tag, example] as const))(
    "%s is a header and its facts, and is read as what it was",
    (_tag, { headers, body, absence }) => {
      const outcome = decodeReply(
        { headers, body: Buffer.from(JSON.stringify(body)) } as never,
        "n1/task/t1",
        500
      )
      expect({ ...outcome, _tag: outcome._tag, message: (outcome as Absence).message }).toMatchObject(absence)
      const [written, bytes] = encodeAbsence(outcome as Absence)
      expect(written).toEqual(headers)
      expect(JSON.parse(Buffer.from(bytes).toString())).toEqual(body)
    }
  )

  test("one that nobody knows is not understood rather than taken for an answer", () => {
    const headers = { "troupe-error": "Unheard" }
    const outcome = decodeReply({ headers, body: Buffer.from("{}") } as never, "n1/task/t1", 500)
    expect(outcome._tag).toBe("NotUnderstood")
  })
})

test("what travels in headers is read and written as it was", () => {
  for (const headers of read("headers.json") as ReadonlyArray<Record<string, string>>) {
    expect(writeEnvelope(readEnvelope(headers))).toEqual(headers)
    expect(readEnvelope({ ...headers, "troupe-unheard": "of" })).toEqual(readEnvelope(headers))
  }
})

test("a table that the data plane keeps on disk is read as it was", () => {
  for (const table of read("data-plane-table.json")) expect(parseTable(table)).toEqual(table as never)
})
