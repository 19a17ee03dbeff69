/** The kernel's devices as they are now. */
import { question } from "#actors/drivers/kernel/run.ts"
import { Links } from "#actors/drivers/kernel/state.ts"

export const links = question("ip", ["-d", "address", "show"], Links)
