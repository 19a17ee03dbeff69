/**
 * Preloaded into a daemon: its tasks have a bug. While the file that `STUCK_TRIGGER` names exists, the next decision
 * about a task removes it and never returns.
 */
import { existsSync, rmSync } from "node:fs"
import process from "node:process"
import { task } from "#actors/task/actor.ts"

const trigger = process.env.STUCK_TRIGGER ?? ""
const { decide } = task

Object.assign(task, {
  decide: ((state, message, moment) => {
    if (existsSync(trigger)) {
      rmSync(trigger)
      for (;;);
    }
    return decide(state, message, moment)
  }) satisfies typeof decide
})
