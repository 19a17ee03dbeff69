import { expect, test } from "bun:test"
import { serviceBody, TestGateway } from "#test/support/gateway.ts"

test("creates a service, fills in what the Engine fills in, and shows it as the Engine does", async () => {
  const gateway = await TestGateway.start()
  const reply = await gateway.post("/v1.50/services/create", serviceBody("web"))
  expect(reply.status).toBe(201)
  expect(reply.text).toBe(`{"ID":"${reply.body.ID}","Warnings":null}\n`)
  const shown = await gateway.get(`/v1.41/services/${reply.body.ID}`)
  expect(shown.body.Spec).toEqual({
    Name: "web",
    Labels: {},
    TaskTemplate: {
      ContainerSpec: {
        Image: "busybox:latest",
        Args: ["top"],
        Init: false,
        DNSConfig: {},
        Isolation: "default"
      },
      Resources: { Limits: {}, Reservations: {} },
      Placement: {},
      ForceUpdate: 0,
      Runtime: "container"
    },
    Mode: { Replicated: { Replicas: 1 } },
    EndpointSpec: { Mode: "vip" }
  })
  expect(shown.body.Endpoint).toEqual({ Spec: {} })
})
