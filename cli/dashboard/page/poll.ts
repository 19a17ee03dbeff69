/** What is asked for again and again while somebody looks. */
import { useEffect } from "preact/hooks"
import { call } from "./api.ts"

/** Nothing is taken once the page shows something else; `undefined`, and why, where it cannot be had. No path asks for nothing; another `again` asks at once. */
export function usePolled<A>(
  path: string,
  everyMs: number,
  take: (found: A | undefined, problem?: string) => void,
  again = 0
): void {
  useEffect(() => {
    if (path === "") return undefined
    let isOver = false
    const look = (): void =>
      void call<A>("GET", path)
        .then((next) => isOver || take(next))
        .catch(({ message }: Error) => isOver || take(undefined, message))
    look()
    const timer = setInterval(look, everyMs)
    return () => {
      isOver = true
      clearInterval(timer)
    }
  }, [path, everyMs, again])
}
