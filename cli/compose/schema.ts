/**
 * The Compose Specification's keys, each with what it must hold; those that mean nothing in a cluster say why.
 * Source: the specification's reference at docs.docker.com/reference/compose-file.
 */
import { mostReplicas } from "#actors/model/service-facts.ts"
import {
  atMost,
  bytes,
  check,
  count,
  decimal,
  duration,
  either,
  type Findings,
  ignored,
  list,
  listOfOne,
  mapOf,
  matching,
  nothing,
  oneOf,
  orNothing,
  type Rule,
  struct,
  text,
  truth,
  whole
} from "#cli/compose/rules.ts"
import type { Value } from "#cli/compose/value.ts"

const texts = list(text)
const textOrTexts = either(text, texts)
const namedTexts = either(mapOf(orNothing(text)), texts)
const external = either(truth, struct({ name: text }))
const localOnly = (what: string): Rule => ignored(`${what} is not for a cluster`)
const noField = (what: string): Rule => ignored(`the Engine's service API has no field for ${what}`)

const port = either(
  matching("a port, as 8080:80 or 53:53/udp", /^[\w.:[\]-]+(\/(tcp|udp|sctp))?$/),
  struct({
    target: count,
    published: matching("a port or a range", /^(\d+(-\d+)?)?$/),
    protocol: oneOf("tcp", "udp", "sctp"),
    mode: oneOf("ingress", "host"),
    host_ip: noField("an address of a port"),
    app_protocol: ignored("it is a hint for other programs"),
    name: ignored("it is a hint for other programs")
  })
)

const volume = either(
  text,
  struct({
    type: oneOf("bind", "volume", "tmpfs", "npipe", "cluster", "image"),
    source: text,
    target: text,
    read_only: truth,
    consistency: text,
    bind: struct({
      propagation: text,
      create_host_path: truth,
      recursive: oneOf("enabled", "disabled", "writable", "readonly"),
      selinux: noField("SELinux labels of mounts")
    }),
    volume: struct({ nocopy: truth, subpath: text, labels: namedTexts }),
    tmpfs: struct({ size: bytes, mode: count }),
    image: struct({ subpath: text })
  })
)

const fileReference = either(text, struct({ source: text, target: text, uid: text, gid: text, mode: count }))

const healthcheck = struct({
  test: textOrTexts,
  interval: duration,
  timeout: duration,
  retries: count,
  start_period: duration,
  start_interval: duration,
  disable: truth
})

const updating = struct({
  parallelism: count,
  delay: duration,
  failure_action: oneOf("continue", "pause", "rollback"),
  monitor: duration,
  max_failure_ratio: decimal,
  order: oneOf("stop-first", "start-first")
})

const generic = list(struct({ discrete_resource_spec: struct({ kind: text, value: count }) }))

const replicas = atMost(mostReplicas)
const deploy = struct({
  mode: oneOf("replicated", "global", "replicated-job", "global-job"),
  replicas,
  endpoint_mode: oneOf("vip", "dnsrr"),
  labels: namedTexts,
  placement: struct({
    constraints: texts,
    preferences: list(struct({ spread: text })),
    max_replicas_per_node: count
  }),
  resources: struct({
    limits: struct({ cpus: decimal, memory: bytes, pids: count }),
    reservations: struct({
      cpus: decimal,
      memory: bytes,
      generic_resources: generic,
      devices: ignored("use gpus of the service, or generic_resources")
    })
  }),
  restart_policy: struct({
    condition: oneOf("none", "on-failure", "any"),
    delay: duration,
    max_attempts: count,
    window: duration
  }),
  update_config: updating,
  rollback_config: updating
})

const logging = struct({ driver: text, options: mapOf(orNothing(text)) })

const service = struct({
  image: text,
  command: orNothing(textOrTexts),
  entrypoint: orNothing(textOrTexts),
  environment: namedTexts,
  env_file: either(
    text,
    list(
      either(text, struct({ path: text, required: truth, format: ignored("variables are read as in .env") }))
    )
  ),
  labels: namedTexts,
  hostname: text,
  user: text,
  group_add: texts,
  working_dir: text,
  stdin_open: truth,
  tty: truth,
  read_only: truth,
  init: truth,
  stop_grace_period: duration,
  stop_signal: text,
  healthcheck,
  ports: list(port),
  volumes: list(volume),
  tmpfs: textOrTexts,
  networks: either(
    texts,
    mapOf(
      orNothing(
        struct({
          aliases: texts,
          driver_opts: mapOf(text),
          ipv4_address: noField("addresses of tasks"),
          ipv6_address: noField("addresses of tasks"),
          link_local_ips: noField("addresses of tasks"),
          mac_address: noField("addresses of tasks"),
          interface_name: noField("names of interfaces"),
          gw_priority: noField("priorities of networks"),
          priority: noField("priorities of networks")
        })
      )
    )
  ),
  secrets: list(fileReference),
  configs: list(fileReference),
  extra_hosts: either(mapOf(textOrTexts), texts),
  dns: textOrTexts,
  dns_search: textOrTexts,
  dns_opt: texts,
  cap_add: texts,
  cap_drop: texts,
  sysctls: namedTexts,
  ulimits: mapOf(either(whole, struct({ soft: whole, hard: whole }))),
  oom_score_adj: whole,
  isolation: text,
  credential_spec: struct({ config: text, file: text, registry: text }),
  security_opt: list(oneOf("no-new-privileges", "no-new-privileges:true", "no-new-privileges:false")),
  logging,
  deploy,
  cpus: decimal,
  mem_limit: bytes,
  mem_reservation: bytes,
  pids_limit: whole,
  scale: replicas,
  platform: text,
  restart: matching(
    "one of no, always, on-failure, on-failure:N, unless-stopped",
    /^(no|false|always|on-failure(:\d+)?|unless-stopped)$/
  ),
  depends_on: either(
    texts,
    mapOf(
      orNothing(
        struct({
          condition: either(
            oneOf("service_started"),
            ignored(
              "services are made in this order, and do not wait for each other",
              oneOf("service_healthy", "service_completed_successfully")
            )
          ),
          required: truth,
          restart: ignored("tasks are not begun anew with those of another service", truth)
        })
      )
    )
  ),
  shm_size: bytes,
  devices: list(either(text, struct({ source: text, target: text, permissions: text }))),
  privileged: truth,
  gpus: either(
    matching("all or how many", /^(all|\d+)$/),
    listOfOne(
      struct({
        count: matching("all or how many", /^(all|-1|\d+)$/),
        capabilities: list(either(oneOf("gpu"), ignored("GPUs are asked for as gpu", text))),
        driver: noField("drivers of GPUs"),
        device_ids: noField("choosing GPUs"),
        options: noField("options of GPUs")
      })
    )
  ),
  extends: either(text, struct({ service: text, file: text })),
  profiles: texts,
  annotations: noField("annotations"),
  attach: localOnly("attaching"),
  blkio_config: noField("block I/O"),
  build: ignored("images are not built; push one and name it as image"),
  cgroup: noField("cgroups"),
  cgroup_parent: noField("cgroups"),
  container_name: ignored("tasks name their containers"),
  cpu_count: noField("numbers of CPUs; use cpus"),
  cpu_percent: noField("parts of CPUs; use cpus"),
  cpu_period: noField("periods of CPUs; use cpus"),
  cpu_quota: noField("quotas of CPUs; use cpus"),
  cpu_rt_period: noField("real-time CPUs"),
  cpu_rt_runtime: noField("real-time CPUs"),
  cpu_shares: noField("shares of CPUs; use cpus"),
  cpuset: noField("sets of CPUs"),
  develop: localOnly("developing"),
  device_cgroup_rules: noField("device rules"),
  domainname: noField("domain names"),
  expose: ignored("services on one network reach all of each other's ports"),
  external_links: localOnly("linking containers"),
  ipc: noField("IPC modes"),
  label_file: ignored("write labels into labels"),
  links: ignored("services on one network find each other by name"),
  mac_address: noField("addresses of tasks"),
  mem_swappiness: noField("swappiness"),
  memswap_limit: noField("limits of swap"),
  models: localOnly("models"),
  network_mode: noField("network modes; use networks"),
  oom_kill_disable: noField("the OOM killer"),
  pid: noField("PID modes"),
  post_start: noField("hooks"),
  pre_stop: noField("hooks"),
  provider: localOnly("providers"),
  pull_policy: ignored("nodes pull what they do not have"),
  runtime: noField("runtimes"),
  storage_opt: noField("storage options"),
  use_api_socket: localOnly("the API's socket"),
  userns_mode: noField("user namespaces"),
  uts: noField("UTS modes"),
  volumes_from: localOnly("sharing volumes of containers")
})

const network = struct({
  name: text,
  driver: text,
  driver_opts: mapOf(text),
  external,
  internal: truth,
  attachable: truth,
  enable_ipv4: truth,
  enable_ipv6: truth,
  labels: namedTexts,
  ipam: struct({
    driver: text,
    options: mapOf(text),
    config: list(struct({ subnet: text, gateway: text, ip_range: text, aux_addresses: mapOf(text) }))
  })
})

const fileObject = struct({
  name: text,
  file: text,
  environment: text,
  content: text,
  external,
  labels: namedTexts,
  template_driver: oneOf("golang"),
  driver: text,
  driver_opts: mapOf(text)
})

const volumeObject = struct({
  name: text,
  driver: text,
  driver_opts: mapOf(text),
  external,
  labels: namedTexts
})

const file = struct({
  version: either(text, nothing),
  name: matching(
    "lower-case letters, digits, - and _, beginning with a letter or digit",
    /^[a-z0-9][a-z0-9_-]*$/
  ),
  services: mapOf(service),
  networks: orNothing(mapOf(orNothing(network))),
  volumes: orNothing(mapOf(orNothing(volumeObject))),
  secrets: orNothing(mapOf(fileObject)),
  configs: orNothing(mapOf(fileObject)),
  include: either(
    list(either(text, struct({ path: textOrTexts, env_file: textOrTexts, project_directory: text })))
  ),
  models: localOnly("models")
})

/** Everything that is wrong in a file, and everything in it that means nothing here. */
export function checkFile(value: Value): Findings {
  const findings: Findings = { problems: [], warnings: [] }
  check(value, file, "", findings)
  return findings
}
