/** What a service asks for: what people look up before they change it. */
import { useState } from "preact/hooks"
import { type Described, describe } from "../describe.ts"
import type { Service } from "../objects.ts"
import { usePolled } from "../poll.ts"
import { Card, Pairs, Same } from "../ui.tsx"

interface Network {
  readonly Id: string
  readonly Name: string
}
const everyMs = 30_000

export function Asked({ service }: { service: Service }) {
  const [networks, setNetworks] = useState<ReadonlyArray<Network>>([])
  usePolled<ReadonlyArray<Network>>("/networks", everyMs, (found = []) => setNetworks(found))
  const { Networks = [] } = service.Spec.TaskTemplate
  const names = Networks.map(({ Target }) => networks.find(({ Id }) => Id === Target)?.Name ?? Target)
  const { Name } = service.Spec
  return (
    <Card
      title="Asked for"
      note={<small class="faint">last changed {new Date(service.UpdatedAt).toLocaleString()}</small>}
    >
      <Pairs of={describe(service.Spec as Described, names)} />
      <Same command={`docker service inspect --pretty ${Name}`} />
    </Card>
  )
}
