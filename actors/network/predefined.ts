/** Networks that every Engine has of its own: nobody makes or removes them, and a spec calls them by their names. */

/** `host` takes the machine's own interfaces, `bridge` the Engine's usual network, `none` nothing at all. */
export type Predefined = "host" | "bridge" | "none"

export const isPredefined = (name: string | undefined): name is Predefined =>
  name === "host" || name === "bridge" || name === "none"

/** Beside these a container has no other network. */
export const standsAlone = (name: string): boolean => name === "host" || name === "none"
