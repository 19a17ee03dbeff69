import { expect, test } from "bun:test"
import { owns } from "#actors/gateway/app.ts"

test("the Swarm half is ours, with and without a version", () => {
  for (const [method, path] of [
    ["GET", "/services"],
    ["GET", "/v1.41/services?status=true"],
    ["POST", "/v1.50/services/create"],
    ["POST", "/services/x/update?version=1"],
    ["DELETE", "/nodes/x?force=1"],
    ["GET", "/swarm/unlockkey"],
    ["POST", "/networks/create"],
    ["GET", "/distribution/registry.example.com:5000/a/b:1/json"]
  ] as const) {
    expect(owns(method, path), `${method} ${path}`).toBe(true)
  }
})

test("streams, containers and everything else are not", () => {
  for (const [method, path] of [
    ["GET", "/services/x/logs"],
    ["GET", "/tasks/x/logs?follow=1"],
    ["GET", "/events"],
    ["GET", "/info"],
    ["GET", "/containers/json"],
    ["POST", "/networks/x/connect"],
    ["PUT", "/services"],
    ["POST", "/services"],
    ["GET", "/distribution"]
  ] as const) {
    expect(owns(method, path), `${method} ${path}`).toBe(false)
  }
})
