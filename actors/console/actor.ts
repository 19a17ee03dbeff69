/**
 * `<node>/consoles/main`: one per node; runs commands with a terminal beside the node's tasks, and says what their health
 * checks came to. Needs `OpenConsoles`.
 */
import { Effect, type Schema } from "effect"
import {
  begin,
  type ConsolesAction,
  type ConsolesState,
  decide,
  type Inside
} from "#actors/console/decide.ts"
import { OpenConsoles } from "#actors/console/open-consoles.ts"
import { ConsolesMessage } from "#actors/console/protocol.ts"
import { actor } from "#runtime/actor.ts"

export const consoles = actor<void, ConsolesState, Inside, ConsolesAction, OpenConsoles>({
  kind: "consoles",
  // Others may say what the protocol has; the rest of `Inside` comes from this actor's own actions and timers.
  accepts: ConsolesMessage as unknown as Schema.Codec<Inside, unknown>,
  start: begin,
  decide,
  perform: Effect.fnUntraced(function* (action: ConsolesAction) {
    const open = yield* OpenConsoles
    switch (action._tag) {
      case "Begin": {
        const problem = yield* open.begin(action.open)
        const { console } = action.open
        return { _tag: "Begun" as const, console, ...(problem !== undefined && { problem }) }
      }
      case "ReadOn":
        return { _tag: "Came" as const, console: action.console, output: yield* open.read(action.console) }
      case "WriteOn":
        yield* open.write(action.console, action.data)
        return { _tag: "Wrote" as const, asker: action.asker }
      case "SetSize":
        return yield* open.resize(action.console, action)
      case "Shut":
        return yield* open.shut(action.console)
      case "LookAt": {
        const { asker, examine } = action
        return { _tag: "Examined" as const, asker, found: yield* open.examine(examine) }
      }
      case "ShutAll":
        return yield* open.shutAll
    }
  }),
  summary: ({ consoles: open }) => `${open.size} consoles open`
})
