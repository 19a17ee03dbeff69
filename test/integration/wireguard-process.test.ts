/** The process of a WireGuard device, by one that starts as slowly as a test needs it. */
import { afterAll, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"

const device = "wg-test"
const socket = `/var/run/wireguard/${device}.sock`
const folder = mkdtempSync(join(tmpdir(), "troupe-wireguard-"))
afterAll(() => {
  for (const path of [socket, folder]) rmSync(path, { recursive: true, force: true })
})

/** Starts `script` as wireguard-go by what a node starts it by, and yields what that ends with. */
function startedAs(script: string): string {
  writeFileSync(`${folder}/wireguard-go`, script, { mode: 0o755 })
  const program = `
    import { Effect } from "effect"
    import { endProcess, startProcess } from "#actors/drivers/wireguard/process.ts"
    const start = startProcess("${folder}", "${device}").pipe(Effect.catch(({ message }) => Effect.succeed(message)))
    const said = await Effect.runPromise(start)
    console.log(said ?? "it listens")
    await Effect.runPromise(endProcess("${folder}", "${device}"))`
  const { stdout, stderr } = spawnSync(process.execPath, ["-e", program], {
    env: { ...process.env, PATH: `${folder}:${process.env.PATH}` },
    encoding: "utf8"
  })
  return `${stdout}${stderr}`
}

test("its socket is left alone while it does not listen yet", () => {
  const script = `#!/usr/bin/perl
    use Socket;
    mkdir "/var/run/wireguard";
    unlink "${socket}";
    socket(my $socket, AF_UNIX, SOCK_STREAM, 0);
    bind($socket, sockaddr_un("${socket}"));
    select(undef, undef, undef, 0.3);
    listen($socket, 4);
    sleep 60;
  `
  expect(startedAs(script)).toBe("it listens\n")
  expect(existsSync(socket)).toBe(true)
})

test("one that ends at once is not waited for", () => {
  expect(startedAs("#!/bin/sh\nexit 1\n")).toBe(
    `wireguard-go: the process of ${device} ended as soon as it was started\n`
  )
})
