/** A service in words. */
import { expect, test } from "bun:test"
import { describe } from "#cli/dashboard/page/describe.ts"

test("only what is asked for is said", () => {
  expect(describe({ TaskTemplate: { ContainerSpec: { Image: "nginx" } } }, [])).toEqual([
    ["Image", "nginx"],
    ["Restart", "any"]
  ])
})

test("words are told apart, and values of variables are not told", () => {
  const facts = describe(
    {
      TaskTemplate: {
        ContainerSpec: {
          Image: "app:1",
          Args: ["sh", "-c", "sleep 5"],
          Env: ["PASSWORD=secret=much", "DEBUG"],
          Mounts: [
            { Type: "volume", Source: "data", Target: "/data" },
            { Type: "tmpfs", Target: "/tmp", ReadOnly: true }
          ],
          Secrets: [{ SecretName: "key" }]
        },
        Placement: { Constraints: ["node.role==worker"], MaxReplicas: 2 },
        Resources: { Limits: { MemoryBytes: 64 * 1_048_576 }, Reservations: { NanoCPUs: 5e8 } },
        RestartPolicy: { Condition: "on-failure", Delay: 5e9, MaxAttempts: 3 }
      },
      UpdateConfig: { Parallelism: 0, Delay: 1e9, Order: "start-first", FailureAction: "rollback" },
      Labels: { a: "b", c: "" }
    },
    ["front"]
  )
  expect(Object.fromEntries(facts)).toEqual({
    Image: "app:1",
    Arguments: 'sh -c "sleep 5"',
    Variables: "PASSWORD, DEBUG",
    Mounts: "data at /data; tmpfs at /tmp, read only",
    Networks: "front",
    Secrets: "key",
    Placement: "node.role==worker, at most 2 a node",
    "At most": "64 MiB",
    "Set aside": "0.5 CPUs",
    Restart: "on-failure, after 5 s, 3 times",
    Update: "all at once, 1 s apart, start-first, rollback on failure",
    Labels: "a=b, c"
  })
})
