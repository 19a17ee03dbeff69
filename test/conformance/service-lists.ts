/** The lists that `service create` fills and `service update` adds to and takes from. */
import { writeFile } from "node:fs/promises"
import type { Bench } from "#test/conformance/case.ts"
import { errors, type ListField, service } from "#test/conformance/service-case.ts"
import { overlay } from "#test/conformance/service-network.ts"

const host = (name: string) => async (bench: Bench) => (await bench.container()).HostConfig[name] ?? []

/** Whether a line inside is as given. */
const line = (script: string, wanted: string) => async (bench: Bench) =>
  (await bench.inside(script)).split("\n").includes(wanted)

/** A secret or config of the case's own, gone with it. */
const stored = (kind: "secret" | "config") => async (bench: Bench) => {
  const { folder, name, docker, after } = bench
  const file = `${folder}/${name}`
  await writeFile(file, `${kind} of the case`)
  await docker(kind, "create", name, file)
  after(async () => {
    await bench.until(
      () => bench.attempt(kind, "rm", name),
      ({ code }) => code === 0
    )
  })
}

const named = ({ name }: Bench): string => name

export const lists: ReadonlyArray<ListField> = [
  {
    create: "--config",
    add: "--config-add",
    remove: "--config-rm",
    prepare: stored("config"),
    value: ({ name }) => `source=${name},target=/etc/told,mode=0400`,
    key: named,
    says: "the file inside has the content and the mode",
    read: (bench) => bench.inside("stat -c %a /etc/told 2>&1 && cat /etc/told 2>&1"),
    wanted: "400\nconfig of the case",
    gone: "stat: can't stat '/etc/told': No such file or directory"
  },
  {
    create: "--secret",
    add: "--secret-add",
    remove: "--secret-rm",
    prepare: stored("secret"),
    value: ({ name }) => `source=${name},target=told,uid=65534,mode=0400`,
    key: named,
    says: "the file in /run/secrets has the content, the owner and the mode",
    read: (bench) => bench.inside("stat -c %a:%u /run/secrets/told 2>&1 && cat /run/secrets/told 2>&1"),
    wanted: "400:65534\nsecret of the case",
    gone: "stat: can't stat '/run/secrets/told': No such file or directory"
  },
  {
    create: "--constraint",
    add: "--constraint-add",
    remove: "--constraint-rm",
    value: "node.labels.zone==nowhere",
    key: "node.labels.zone==nowhere",
    says: "no node satisfies it, and the task says so",
    read: async (bench) => (await errors(bench)).at(-1) ?? "",
    wanted: "no suitable node (scheduling constraints not satisfied on 1 node)",
    gone: ""
  },
  {
    create: "--container-label",
    add: "--container-label-add",
    remove: "--container-label-rm",
    value: "colour=blue",
    key: "colour",
    says: "Labels of the container have it",
    read: async (bench) => (await bench.container()).Config.Labels.colour ?? "",
    wanted: "blue",
    gone: ""
  },
  {
    create: "--label",
    add: "--label-add",
    remove: "--label-rm",
    value: "colour=blue",
    key: "colour",
    says: "Labels of the service have it",
    read: async (bench) => (await service(bench)).Spec.Labels.colour ?? "",
    wanted: "blue",
    gone: ""
  },
  {
    create: "--env",
    add: "--env-add",
    remove: "--env-rm",
    value: "COLOUR=blue",
    key: "COLOUR",
    says: "the variable is set inside",
    read: (bench) => bench.inside("echo [$COLOUR]"),
    wanted: "[blue]",
    gone: "[]"
  },
  {
    create: "--dns",
    add: "--dns-add",
    remove: "--dns-rm",
    value: "192.0.2.7",
    key: "192.0.2.7",
    says: "resolv.conf inside names the server",
    read: line("cat /etc/resolv.conf", "nameserver 192.0.2.7"),
    wanted: true,
    gone: false
  },
  {
    create: "--dns-option",
    add: "--dns-option-add",
    remove: "--dns-option-rm",
    value: "attempts:7",
    key: "attempts:7",
    says: "resolv.conf inside has the option",
    read: line("cat /etc/resolv.conf", "options attempts:7"),
    wanted: true,
    gone: false
  },
  {
    create: "--dns-search",
    add: "--dns-search-add",
    remove: "--dns-search-rm",
    value: "shop.example",
    key: "shop.example",
    says: "resolv.conf inside has the domain",
    read: line("cat /etc/resolv.conf", "search shop.example"),
    wanted: true,
    gone: false
  },
  {
    create: "--host",
    add: "--host-add",
    remove: "--host-rm",
    value: "elsewhere:192.0.2.9",
    key: "elsewhere:192.0.2.9",
    says: "/etc/hosts inside has the line",
    read: line("cat /etc/hosts", "192.0.2.9\telsewhere"),
    wanted: true,
    gone: false
  },
  {
    create: "--group",
    add: "--group-add",
    remove: "--group-rm",
    value: "1234",
    key: "1234",
    says: "GroupAdd of the container has it",
    read: host("GroupAdd"),
    wanted: ["1234"],
    gone: []
  },
  {
    create: "--generic-resource",
    add: "--generic-resource-add",
    remove: "--generic-resource-rm",
    value: "ssd=1",
    key: "ssd",
    says: "the variable inside says what of it the task got",
    read: (bench) => bench.inside("echo [$DOCKER_RESOURCE_SSD]"),
    wanted: "[1]",
    gone: "[]"
  },
  {
    create: "--mount",
    add: "--mount-add",
    remove: "--mount-rm",
    value: "type=tmpfs,target=/scratch,tmpfs-size=1m,tmpfs-mode=0711",
    key: "/scratch",
    says: "the file system inside has the size and the mode",
    read: (bench) =>
      bench.inside(
        "stat -c %a /scratch 2>/dev/null; grep -o 'scratch tmpfs.*size=[0-9a-z]*' /proc/mounts | grep -o '[^=]*$'"
      ),
    wanted: "711\n1024k",
    gone: ""
  },
  {
    create: "--network",
    add: "--network-add",
    remove: "--network-rm",
    prepare: overlay,
    value: ({ name }) => `name=${name},alias=other`,
    key: named,
    says: "the service's own alias is resolved inside",
    read: async (bench) => /Address.*10\./.test(await bench.inside("timeout 3 nslookup other 2>&1")),
    wanted: true,
    gone: false
  },
  {
    create: "--publish",
    add: "--publish-add",
    remove: "--publish-rm",
    command: [
      "sh",
      "-c",
      "mkdir /www; echo hello > /www/page; trap exit TERM; httpd -f -p 8080 -h /www & wait"
    ],
    value: "target=8080,mode=host,protocol=tcp",
    // The CLI takes out only what is published in the same mode.
    key: "target=8080,mode=host",
    says: "what the container serves is read at a port of the host's",
    read: async (bench) => {
      const { Ports } = (await bench.container()).NetworkSettings
      const { HostPort } = Ports["8080/tcp"]?.[0] ?? {}
      if (HostPort === undefined) return ""
      return (await fetch(`http://127.0.0.1:${HostPort}/page`, { signal: AbortSignal.timeout(3_000) })).text()
    },
    wanted: "hello\n",
    gone: ""
  },
  {
    create: "--sysctl",
    add: "--sysctl-add",
    remove: "--sysctl-rm",
    value: "net.core.somaxconn=777",
    key: "net.core.somaxconn",
    says: "the kernel inside has the value",
    read: async (bench) => (await bench.inside("cat /proc/sys/net/core/somaxconn")) === "777",
    wanted: true,
    gone: false
  },
  {
    create: "--ulimit",
    add: "--ulimit-add",
    remove: "--ulimit-rm",
    value: "nofile=64:128",
    key: "nofile",
    says: "Ulimits of the container have it",
    read: host("Ulimits"),
    wanted: [{ Name: "nofile", Hard: 128, Soft: 64 }],
    gone: []
  }
]
