import { describe, expect, test } from "bun:test"
import type { ContainerEvent } from "#actors/drivers/executor.ts"
import { decide, start, type Watch } from "#actors/node/engine-watch/decide.ts"
import type { WatchAction, WatchMessage } from "#actors/node/engine-watch/protocol.ts"
import type { CommonAction } from "#runtime/actions.ts"
import { Fresh } from "#runtime/ids.ts"
import { aContainer, aMoment } from "#test/actors/task/build.ts"

class Subject {
  state: Watch
  asked: ReadonlyArray<WatchAction | CommonAction>
  readonly #fresh = Fresh.from(5)

  constructor() {
    const step = start({ clusterId: "c1" })
    this.state = step.state
    this.asked = step.actions
  }

  tell(message: WatchMessage, now = 1_000): this {
    const self = { home: "n1", kind: "engine-watch", id: "main" }
    const step = decide(this.state, message, aMoment(now, this.#fresh, self))
    this.state = step.state
    this.asked = step.actions
    return this
  }

  get tags(): ReadonlyArray<string> {
    return this.asked.map(({ _tag }) => _tag)
  }

  get pause(): number {
    const timer = this.asked.find(({ _tag }) => _tag === "Later")
    return timer?._tag === "Later" ? timer.afterMs : -1
  }
}

const event = (labels: Readonly<Record<string, string>>): ContainerEvent => ({
  _tag: "Died",
  containerId: "k1",
  labels,
  exitCode: 1
})
const labels = aContainer().labels
const surveyed: WatchMessage = { _tag: "Surveyed", containers: [aContainer()] }

describe("the engine watch", () => {
  test("listens first and looks then, so that nothing falls between the two", () => {
    expect(new Subject().tags).toEqual(["Follow", "Survey", "DescribeMachine", "Ping"])
  })

  test("tells a task of its own container's events, and nobody of foreign ones", () => {
    const watch = new Subject()
    expect(watch.tell({ _tag: "Occurred", event: event(labels) }).asked).toEqual([
      {
        _tag: "Tell",
        to: { home: "n1", kind: "task", id: "t1" },
        message: { _tag: "Happened", event: event(labels) }
      }
    ])
    for (const foreign of [
      {},
      { ...labels, "io.troupe.cluster": "c2" },
      { ...labels, "com.docker.swarm.node.id": "n2" },
      { ...labels, "com.docker.swarm.task.id": "a.b" }
    ])
      expect(watch.tell({ _tag: "Occurred", event: event(foreign) }).asked).toEqual([])
  })

  test("tells the session and the keeper of logs what it saw, and looks again after a while", () => {
    const watch = new Subject().tell(surveyed)
    expect(watch.tags).toEqual(["Tell", "Tell", "Later"])
    expect(watch.pause).toBeGreaterThan(50_000)
  })

  test("looks once more when it was asked to while it looked", () => {
    const watch = new Subject().tell({ _tag: "Look" })
    expect(watch.tags).toEqual([])
    expect(watch.tell(surveyed).tags).toEqual(["Tell", "Tell", "Survey"])
    expect(watch.tell(surveyed).tags).toEqual(["Tell", "Tell", "Later"])
  })

  test("comes back to an Engine that went away, soon at first, and looks at everything then", () => {
    const watch = new Subject().tell(surveyed)
    const pauses = Array.from({ length: 12 }, () => {
      const pause = watch.tell({ _tag: "Lost", reason: "ECONNREFUSED" }).pause
      expect(watch.tell({ _tag: "FollowAgain" }).tags[0]).toBe("Follow")
      return pause
    })
    expect(pauses[0]).toBeLessThanOrEqual(100)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(2_000)
    expect(watch.tell({ _tag: "NotSurveyed", reason: "ECONNREFUSED" }).state.trouble).toBe("ECONNREFUSED")
    expect(watch.tell({ _tag: "LookAgain" }).tags).toEqual(["Survey"])
    expect(watch.tell(surveyed).state.trouble).toBeUndefined()
  })

  test("follows one stream of events at a time", () => {
    expect(new Subject().tell({ _tag: "FollowAgain" }).tags).toEqual([])
  })

  test("asks the Engine each second, and tells the session once when it has not answered for eight", () => {
    const watch = new Subject().tell({ _tag: "Pinged" })
    expect(watch.pause).toBeLessThanOrEqual(1_000)
    const silent: WatchMessage = { _tag: "NotPinged", reason: "no answer" }
    const told = () => watch.asked.filter(({ _tag }) => _tag === "Tell")
    watch.tell(silent, 10_000)
    expect(told()).toEqual([])
    expect(watch.tell({ _tag: "PingAgain" }, 11_000).tags).toEqual(["Ping"])
    watch.tell(silent, 17_999)
    expect(told()).toEqual([])
    watch.tell(silent, 18_000)
    expect(told()).toMatchObject([{ message: { _tag: "ExecutorSilent", reason: "no answer" } }])
    watch.tell(silent, 19_000)
    expect(told()).toEqual([])
    watch.tell({ _tag: "Pinged" }, 20_000)
    expect(told()).toMatchObject([{ message: { _tag: "ExecutorAnswers" } }])
    watch.tell(silent, 21_000).tell({ _tag: "Pinged" }, 22_000).tell(silent, 29_000)
    expect(told()).toEqual([])
  })

  test("does not say what the machine is while its Engine answers nobody, and does when that is over", () => {
    const watch = new Subject().tell({ _tag: "Described", description: { Hostname: "h" } as never })
    const silent: WatchMessage = { _tag: "NotPinged", reason: "no answer" }
    watch.tell(silent, 1_000).tell(silent, 9_000)
    expect(watch.tell({ _tag: "Look" }).tags).not.toContain("Tell")
    expect(watch.tell({ _tag: "Pinged" }).asked).toContainEqual({
      _tag: "Tell",
      to: { home: "n1", kind: "session", id: "main" },
      message: { _tag: "Described", description: { Hostname: "h" } as never }
    })
  })

  test("says again what the machine is to a session that begins again", () => {
    const description = {
      Hostname: "h",
      Platform: {},
      Resources: { NanoCPUs: 1, MemoryBytes: 1 },
      Engine: { EngineVersion: "1" }
    }
    const watch = new Subject().tell({ _tag: "Described", description })
    expect(watch.tags).toEqual(["Tell", "Later"])
    expect(watch.tell({ _tag: "Look" }).asked).toEqual([
      {
        _tag: "Tell",
        to: { home: "n1", kind: "session", id: "main" },
        message: { _tag: "Described", description }
      }
    ])
  })
})
