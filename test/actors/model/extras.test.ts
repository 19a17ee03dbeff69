import { describe, expect, test } from "bun:test"
import { allowedBy, askedExtras } from "#actors/model/extras.ts"

const asked = (name: string, value: string) => askedExtras({ [`troupe.${name}`]: value })

describe("a container's labels ask for", () => {
  test("devices, as docker run --device does", () => {
    expect(asked("devices", "/dev/fuse, /dev/a:/dev/b:rw")).toEqual({
      devices: [
        { PathOnHost: "/dev/fuse", PathInContainer: "/dev/fuse", CgroupPermissions: "rwm" },
        { PathOnHost: "/dev/a", PathInContainer: "/dev/b", CgroupPermissions: "rw" }
      ]
    })
  })

  test("graphics processors, all of them or so many", () => {
    expect(asked("gpus", "all")).toEqual({ gpus: -1 })
    expect(asked("gpus", "2")).toEqual({ gpus: 2 })
  })

  test("privileges and shared memory", () => {
    const labels = { "troupe.privileged": "true", "troupe.shm_size": "64m", "com.shop.tier": "front" }
    expect(askedExtras(labels)).toEqual({ privileged: true, shm_size: 64 * 2 ** 20 })
    for (const [text, bytes] of [
      ["100", 100],
      ["2kb", 2048],
      ["1G", 2 ** 30]
    ] as const)
      expect(asked("shm_size", text)).toEqual({ shm_size: bytes })
  })

  test("nothing, when there is none", () => {
    expect(askedExtras(undefined)).toEqual({})
  })

  test("what cannot be meant: the label, its value and what was expected are named", () => {
    for (const [name, value] of [
      ["devices", "dev/fuse"],
      ["devices", ""],
      ["devices", "/dev/a:/dev/b:rr"],
      ["devices", "/dev/a:/dev/b:rw:x"],
      ["gpus", "0"],
      ["gpus", "some"],
      ["privileged", "yes"],
      ["shm_size", "0"],
      ["shm_size", "1.5g"],
      ["shm_size", "64 apples"]
    ] as const) {
      const { problem } = asked(name, value) as { readonly problem: string }
      expect(problem).toStartWith(`label troupe.${name} ${JSON.stringify(value)}: expected `)
    }
    expect(asked("priviledged", "true")).toEqual({
      problem:
        "label troupe.priviledged: expected one of troupe.devices, troupe.gpus, troupe.privileged, troupe.shm_size"
    })
  })
})

test("a cluster allows what its label names", () => {
  expect(allowedBy(undefined)).toEqual([])
  expect(allowedBy({ "troupe.allow": "shm_size, devices,moon" })).toEqual(["devices", "shm_size"])
})
