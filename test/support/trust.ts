/** What a cluster's trust looks like, for tests that check no signature of it. */
import type { ManagerPorts, NatsKeys, Roots } from "#actors/model/trust.ts"

/** Of a key that exists nowhere. */
const certificate = `-----BEGIN CERTIFICATE-----
MIIBZjCCAQygAwIBAgIQAV2eGDFge02295sc1YT0izAKBggqhkjOPQQDAjATMREw
DwYDVQQDEwhzd2FybS1jYTAeFw0yNTEyMzEyMzAwMDBaFw00NjAxMDEwMDAwMDBa
MBMxETAPBgNVBAMTCHN3YXJtLWNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
RsISxUFiGApf9cD3fXItHiR3/9c9pv6W083AnqyNE5PNz85pGaN8ZZTKyF9tv6g0
Y5Mm5v8iRqRT0v2F1ETdIaNCMEAwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8E
BAMCAQYwHQYDVR0OBBYEFGE5zvdLYuW/FJovfaYA5Ny2UI2RMAoGCCqGSM49BAMC
A0gAMEUCIBsq7/FE2ZsrlaUTHUWggsOdOhEj8cer8fnAbwnfZslXAiEAy2XE5iEb
OzBPZv9anQ/8scti6+3+1i8QrSwEqTVXpnE=
-----END CERTIFICATE-----
`

export const someRoots: Roots = {
  ca: { certificate, key: "some key" },
  routePassword: "some password"
}
export const someKeys: NatsKeys = { daemon: "UD", api: "UA", raft: "UR", system: "US" }
export const somePorts: ManagerPorts = { join: 2377, nats: 4222, route: 6222 }
