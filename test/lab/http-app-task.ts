/** `http-app.ts` as a task: the machine's own files are its image, they have what the program needs. */
import { realpathSync } from "node:fs"
import process from "node:process"
import { fileURLToPath } from "node:url"

const program = fileURLToPath(new URL("./http-app.ts", import.meta.url))
const second = 1_000_000_000

/** `template` with the program in place of its own, at that port, healthy once it answers there. */
export const httpAppTask = <Template extends { readonly ContainerSpec: object }>(
  template: Template,
  port: number
) => ({
  ...template,
  ForceUpdate: 0,
  ContainerSpec: {
    ...template.ContainerSpec,
    Command: ["chroot", "/machine", realpathSync(process.execPath), program, `${port}`],
    Mounts: [{ Type: "bind", Source: "/", Target: "/machine", ReadOnly: true }],
    Healthcheck: {
      Test: ["CMD-SHELL", `wget -qO- --post-data= http://127.0.0.1:${port}/`],
      Interval: second / 5,
      Timeout: second * 2,
      // On a busy machine it takes a while to begin.
      StartPeriod: second * 60,
      Retries: 5
    }
  }
})
