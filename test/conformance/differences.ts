/** Where Docker's own Swarm shows something else than Troupe, and why: what is not named here is a mistake of ours. */

/** What the title of a case holds, and the reason. */
const reasons: ReadonlyArray<readonly [RegExp, string]> = [
  [
    /service update --endpoint-mode/,
    "Swarm's names go on leading to the virtual address that the service had before"
  ],
  [/service update --max-concurrent/, "Swarm lets what the job had begun before go on beside the new tasks"],
  [
    /swarm init --data-path-addr/,
    "Swarm's `network inspect --verbose` does not name the address for tasks of this single node"
  ],
  [
    /swarm init --force-new-cluster/,
    "Swarm goes on listing the manager that was lost; Troupe's new cluster has forgotten it"
  ],
  [
    /secret create --driver/,
    "Swarm refuses a driver that this manager does not have; with Troupe it may come later, and a task says what it lacks"
  ],
  [/network create --aux-address/, "Swarm drops the address without a word"],
  [/network create --opt: encrypted/, "Swarm encrypts by IPsec, which takes less room than WireGuard"],
  [/network create --opt/, "Swarm takes the room for VXLAN off what was asked for"],
  [
    /swarm (init|update) --external-ca/,
    "Swarm was not seen to ask an authority that was named before the root was its own, or in an update"
  ]
]

export const reasonFor = (title: string): string | undefined =>
  reasons.find(([pattern]) => pattern.test(title))?.[1]
