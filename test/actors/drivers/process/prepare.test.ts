import { expect, test } from "bun:test"
import type { ContainerRequest } from "#actors/drivers/executor.ts"
import { parseSize } from "#actors/drivers/process/parse-size.ts"
import { prepare } from "#actors/drivers/process/prepare.ts"

const request = (more: Partial<ContainerRequest> = {}): ContainerRequest => ({
  Image: "host",
  Cmd: ["true"],
  Labels: {},
  HostConfig: {},
  Networks: [],
  ...more
})
const refusal = (more: Partial<ContainerRequest>): string => {
  const prepared = prepare(request(more))
  return "refusal" in prepared ? prepared.refusal : ""
}

test("only the image that stands for this machine is run, however Docker spells it", () => {
  for (const Image of ["host", "host:latest", "docker.io/library/host:latest"])
    expect(refusal({ Image })).toBe("")
  for (const Image of ["alpine", "host:2", "evil/host", "myhost", "host:latest@sha256:0"]) {
    expect(refusal({ Image })).toContain(`No such image: ${Image}`)
  }
})

test("what says nothing is not held against a request", () => {
  expect(
    refusal({
      Tty: false,
      OpenStdin: false,
      Volumes: {},
      Healthcheck: { Test: ["NONE"] },
      HostConfig: {
        Memory: 0,
        Mounts: [],
        CapAdd: null,
        Dns: [],
        Ulimits: null,
        RestartPolicy: { Name: "no" },
        Init: true
      }
    })
  ).toBe("")
})

test("what a process cannot have is refused by the field's name", () => {
  expect(refusal({ Tty: true })).toStartWith("Tty:")
  expect(refusal({ HostConfig: { CapAdd: ["NET_ADMIN"] } })).toStartWith("HostConfig.CapAdd:")
  expect(refusal({ HostConfig: { PidsLimit: 5 } })).toStartWith("HostConfig.PidsLimit:")
  expect(refusal({ HostConfig: { LogConfig: { Type: "syslog" } } })).toStartWith("HostConfig.LogConfig.Type:")
  expect(refusal({ HostConfig: { LogConfig: { Config: { "max-size": "lots" } } } })).toContain(
    'max-size "lots"'
  )
  expect(refusal({ HostConfig: { LogConfig: { Config: { "max-file": "0" } } } })).toContain('max-file "0"')
})

test("a command has its own environment, with a path and without what it takes away", () => {
  const prepared = prepare(
    request({ Env: ["A=1=2", "PATH"], Entrypoint: ["sh"], Cmd: ["-c", "x"], WorkingDir: "/tmp" })
  )
  expect(prepared).toMatchObject({
    command: { words: ["sh", "-c", "x"], environment: { A: "1=2" }, directory: "/tmp" },
    stopSignal: "SIGTERM",
    user: ""
  })
  const plain = prepare(request())
  expect("command" in plain && plain.command.environment.PATH).toContain("/usr/bin")
})

test("sizes are read as Docker writes them", () => {
  expect(["10m", "1.5k", "7", "2G", "1MB", "1mib"].map(parseSize)).toEqual([
    10 * 1024 ** 2,
    1536,
    7,
    2 * 1024 ** 3,
    1024 ** 2,
    1024 ** 2
  ])
  expect(["", "m", "-1", "1x", "1 2"].map(parseSize)).toEqual(Array(5).fill(undefined))
})
