/**
 * What every transport promises, as one suite; each implementation brings a harness and passes all of it.
 *
 * Outcomes are awaited, never slept for: "nothing arrives" is shown by something later that has arrived.
 */
import { describe, expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { crc32 } from "node:zlib"
import { Effect } from "effect"
import { largestMessage } from "#runtime/chunks.ts"
import type { CallOutcome, Delivery, TransportService, TransportStatus } from "#runtime/transport.ts"

export interface TransportHarness {
  /** A connection of its own, as another process has. The suite does not close it. */
  readonly connect: (name: string) => Promise<TransportService>
  /** Cuts every connection off, as a server that is killed. */
  readonly breakLinks: () => Promise<void>
  readonly mendLinks: () => Promise<void>
}

const text = (body: Uint8Array): string => Buffer.from(body).toString("utf8")
const bytes = (words: string): Uint8Array => Buffer.from(words)

/** Waits for `holds` with the patience of a busy machine. */
async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + 10_000
  while (!holds()) {
    if (Date.now() > end) throw new Error(`It did not come to hold: ${holds}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

const callWith = (
  transport: TransportService,
  subject: string,
  body: Uint8Array,
  withinMs = 10_000
): Promise<CallOutcome> =>
  new Promise((resolve) => {
    transport.call(subject, {}, body, withinMs, resolve)
  })

const call = (
  transport: TransportService,
  subject: string,
  words: string,
  withinMs = 10_000
): Promise<CallOutcome> => callWith(transport, subject, bytes(words), withinMs)

/** Returns once subscriptions made before are known to whoever routes messages. */
async function settle(transport: TransportService): Promise<void> {
  const subject = `settle.${Math.random().toString(36).slice(2)}`
  const seen = transport.subscribe(subject, {}, (delivery) => delivery.respond?.({}, bytes("")))
  await call(transport, subject, "")
  seen.unsubscribe()
}

/** Runs the suite against one implementation; `harness` is called once per test file, inside its hooks. */
export function transportContract(name: string, harness: () => TransportHarness): void {
  let count = 0
  /** Subjects and names of their own for each test. */
  const fresh = (): string => `contract.t${count++}`

  describe(`the transport ${name}`, () => {
    test("delivers what one publisher says in the order in which it was said, body and headers whole", async () => {
      const [sender, receiver] = [await harness().connect("a"), await harness().connect("b")]
      const subject = fresh()
      const seen: Delivery[] = []
      receiver.subscribe(subject, {}, (delivery) => seen.push(delivery))
      await settle(receiver)
      for (let i = 0; i < 500; i++) sender.publish(subject, { "troupe-id": `m${i}` }, bytes(`body ${i} ü`))
      await until(() => seen.length === 500)
      expect(seen.map((delivery) => text(delivery.body))).toEqual(
        Array.from({ length: 500 }, (_, i) => `body ${i} ü`)
      )
      expect(seen[7]?.headers["troupe-id"]).toBe("m7")
      expect(seen[7]?.subject).toBe(subject)
      expect(seen[7]?.respond).toBeUndefined()
    })

    test("a star stands for one token, and only one", async () => {
      const transport = await harness().connect("a")
      const subject = fresh()
      const seen: string[] = []
      transport.subscribe(`${subject}.*.in`, {}, (delivery) => seen.push(delivery.subject))
      await settle(transport)
      for (const rest of ["x.in", "x.y.in", "x.out", "y.in"])
        transport.publish(`${subject}.${rest}`, {}, bytes(""))
      await until(() => seen.length === 2)
      await settle(transport)
      expect(seen).toEqual([`${subject}.x.in`, `${subject}.y.in`])
    })

    test("a sender hears itself when it subscribes to what it says", async () => {
      const transport = await harness().connect("a")
      const subject = fresh()
      let seen = 0
      transport.subscribe(subject, {}, () => seen++)
      transport.publish(subject, {}, bytes("x"))
      await until(() => seen === 1)
    })

    test("of a queue group one member gets each message, and all who are in no group get it too", async () => {
      const subject = fresh()
      const [sender, one, two, aside] = await Promise.all(
        ["a", "b", "c", "d"].map((each) => harness().connect(each))
      )
      const counts = { one: 0, two: 0, aside: 0 }
      one?.subscribe(subject, { queue: "q" }, () => counts.one++)
      two?.subscribe(subject, { queue: "q" }, () => counts.two++)
      aside?.subscribe(subject, {}, () => counts.aside++)
      for (const transport of [one, two, aside]) await settle(transport as TransportService)
      for (let i = 0; i < 200; i++) sender?.publish(subject, {}, bytes(String(i)))
      await until(() => counts.aside === 200 && counts.one + counts.two === 200)
      expect(counts.one).toBeGreaterThan(0)
      expect(counts.two).toBeGreaterThan(0)
    })

    test("a request is answered once, however often the receiver answers", async () => {
      const [asker, server] = [await harness().connect("a"), await harness().connect("b")]
      const subject = fresh()
      server.subscribe(subject, {}, (delivery) => {
        for (const answer of ["first", "second"]) delivery.respond?.({ "troupe-error": "x" }, bytes(answer))
      })
      await settle(server)
      const heard: CallOutcome[] = []
      asker.call(subject, {}, bytes("?"), 10_000, (outcome) => heard.push(outcome))
      await until(() => heard.length > 0)
      await settle(asker)
      expect(heard.length).toBe(1)
      expect(text((heard[0] as Delivery).body)).toBe("first")
      expect((heard[0] as Delivery).headers["troupe-error"]).toBe("x")
    })

    test("many requests at once find their own answers", async () => {
      const [asker, server] = [await harness().connect("a"), await harness().connect("b")]
      const subject = fresh()
      server.subscribe(subject, {}, (delivery) => delivery.respond?.({}, bytes(`re ${text(delivery.body)}`)))
      await settle(server)
      const asked = Array.from({ length: 300 }, (_, i) => `q${i}`)
      const answers = await Promise.all(asked.map((words) => call(asker, subject, words)))
      expect(answers.map((answer) => text((answer as Delivery).body))).toEqual(
        asked.map((words) => `re ${words}`)
      )
    })

    test("a request to nobody is NotHere at once rather than a timeout", async () => {
      const transport = await harness().connect("a")
      const outcome = await call(transport, fresh(), "?", 60_000)
      expect(outcome).toMatchObject({ _tag: "NotHere" })
    })

    test("a request that nobody answers is TimedOut, and says after how long", async () => {
      const transport = await harness().connect("a")
      const subject = fresh()
      transport.subscribe(subject, {}, () => {})
      const outcome = await call(transport, subject, "?", 30)
      expect(outcome).toMatchObject({ _tag: "TimedOut", withinMs: 30 })
    })

    test("a question that was taken back is not answered any more", async () => {
      const transport = await harness().connect("a")
      const subject = fresh()
      transport.subscribe(subject, {}, (delivery) => delivery.respond?.({}, bytes("!")))
      let heard = 0
      const takeBack = transport.call(subject, {}, bytes("?"), 2_000, () => heard++)
      takeBack()
      await call(transport, subject, "?")
      expect(heard).toBe(0)
    })

    test("request does as an Effect what call does for plain code", async () => {
      const transport = await harness().connect("a")
      const subject = fresh()
      transport.subscribe(subject, {}, (delivery) => delivery.respond?.({}, bytes("pong")))
      const answer = await Effect.runPromise(transport.request(subject, {}, bytes("ping"), 10_000))
      expect(text(answer.body)).toBe("pong")
      const failure = await Effect.runPromise(
        Effect.flip(transport.request(fresh(), {}, bytes("ping"), 10_000))
      )
      expect(failure._tag).toBe("NotHere")
    })

    test("a body larger than what is carried at all is refused by name, and nothing else suffers", async () => {
      const transport = await harness().connect("a")
      const subject = fresh()
      const seen: number[] = []
      transport.subscribe(subject, {}, (delivery) => seen.push(delivery.body.length))
      const tooLarge = new Uint8Array(largestMessage + 1)
      expect(() => transport.publish(subject, {}, tooLarge)).toThrow(
        `Cannot send to ${subject}: ${largestMessage + 1} bytes are more than the ${largestMessage} that a message carries`
      )
      expect(() => transport.call(subject, {}, tooLarge, 10, () => {})).toThrow("more than")
      const limit = transport.maxPayload()
      transport.publish(subject, {}, new Uint8Array(limit))
      await until(() => seen.length > 0)
      expect(seen).toEqual([limit])
    })

    test("a body larger than one publish carries arrives whole, in its place among smaller ones", async () => {
      const [sender, receiver] = [await harness().connect("a"), await harness().connect("b")]
      const subject = fresh()
      const seen: Delivery[] = []
      receiver.subscribe(subject, {}, (delivery) => seen.push(delivery))
      await settle(receiver)
      const large = Buffer.alloc(3 * sender.maxPayload() + 7, "large ")
      const sent = [bytes("before"), large, bytes("between"), large.subarray(1), bytes("after")]
      sent.forEach((body, i) => {
        sender.publish(subject, { "troupe-id": `m${i}` }, body)
      })
      await until(() => seen.length === sent.length)
      expect(seen.map((delivery) => delivery.headers)).toEqual(sent.map((_, i) => ({ "troupe-id": `m${i}` })))
      expect(seen.map((delivery) => crc32(delivery.body))).toEqual(sent.map((body) => crc32(body)))
    }, 20_000)

    test("the largest question and the largest answer are carried, and many at once find their own", async () => {
      const [asker, server] = [await harness().connect("a"), await harness().connect("b")]
      const subject = fresh()
      server.subscribe(subject, {}, (delivery) => delivery.respond?.({ "x-n": "1" }, delivery.body))
      await settle(server)
      const largest = Buffer.alloc(largestMessage, "x")
      const answer = (await callWith(asker, subject, largest)) as Delivery
      expect(answer.headers).toEqual({ "x-n": "1" })
      expect(crc32(answer.body)).toBe(crc32(largest))
      const questions = [1, 2, 3].map((n) => Buffer.alloc(asker.maxPayload() + n, String(n)))
      const answers = await Promise.all(questions.map((question) => callWith(asker, subject, question)))
      expect(answers.map((each) => crc32((each as Delivery).body))).toEqual(
        questions.map((each) => crc32(each))
      )
      expect(asker.counters().lostParts + server.counters().lostParts).toBe(0)
    }, 20_000)

    test("a question in parts to nobody is NotHere, and one to a group is refused by name", async () => {
      const transport = await harness().connect("a")
      const [nobodys, groups] = [fresh(), fresh()]
      transport.subscribe(groups, { queue: "q" }, (delivery) => delivery.respond?.({}, bytes("heard")))
      await settle(transport)
      const large = Buffer.alloc(2 * transport.maxPayload())
      expect(await callWith(transport, nobodys, large)).toMatchObject({ _tag: "NotHere" })
      const refused = (await callWith(transport, groups, large)) as Delivery
      expect(refused.headers["troupe-error"]).toBe("Unreachable")
      expect(text(refused.body)).toContain("a group takes no messages in parts")
    })

    test("after unsubscribing nothing arrives, and the subject is nobody's", async () => {
      const transport = await harness().connect("a")
      const subject = fresh()
      let seen = 0
      const subscription = transport.subscribe(subject, {}, () => seen++)
      transport.publish(subject, {}, bytes("1"))
      await until(() => seen === 1)
      subscription.unsubscribe()
      transport.publish(subject, {}, bytes("2"))
      expect(await call(transport, subject, "?", 60_000)).toMatchObject({ _tag: "NotHere" })
      expect(seen).toBe(1)
    })

    test("a subscriber that throws loses its message and nothing more", async () => {
      const transport = await harness().connect("a")
      const subject = fresh()
      const seen: string[] = []
      transport.subscribe(subject, {}, (delivery) => {
        if (text(delivery.body) === "bad") throw new Error("a bug in a subscriber")
        seen.push(text(delivery.body))
      })
      for (const words of ["good", "bad", "better"]) transport.publish(subject, {}, bytes(words))
      await until(() => seen.length === 2)
      expect(seen).toEqual(["good", "better"])
    })

    test("a broken connection is told, refuses what is said meanwhile, and brings subscriptions back", async () => {
      const transport = await harness().connect("a")
      const subject = fresh()
      const seen: string[] = []
      const statuses: TransportStatus[] = []
      transport.subscribe(subject, {}, (delivery) => {
        seen.push(text(delivery.body))
        delivery.respond?.({}, bytes("here"))
      })
      const listening = transport.onStatus((status) => statuses.push(status))
      await settle(transport)

      await harness().breakLinks()
      await until(() => !transport.isConnected())
      expect(() => transport.publish(subject, {}, bytes("lost"))).toThrow(`Cannot send to ${subject}`)
      expect(await call(transport, subject, "?", 60_000)).toMatchObject({ _tag: "Unreachable" })

      await harness().mendLinks()
      await until(() => transport.isConnected())
      expect(text(((await call(transport, subject, "again")) as Delivery).body)).toBe("here")
      expect(seen).toEqual(["again"])
      const said = statuses.map((status) => status._tag).filter((tag) => tag !== "Problem")
      expect(said).toEqual(["Disconnected", "Connected"])
      expect(transport.counters().disconnects).toBe(1)
      listening.unsubscribe()
    }, 20_000)
  })
}
