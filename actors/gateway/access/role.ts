/** Who asks at a door, and as what. A role may do all that the roles before it may. */
export const roles = ["viewer", "operator", "admin"] as const
export type Role = (typeof roles)[number]

export interface Identity {
  /** For people and for the log: `local` on the unix socket, else the token's name. */
  readonly who: string
  readonly role: Role
  /** Of the token that they came by, SHA-256. */
  readonly token?: string
}

/** On the unix socket, which its file mode guards. */
export const local: Identity = { who: "local", role: "admin" }

export const isRole = (text: unknown): text is Role => roles.some((role) => role === text)

/** Whether `role` may do what asks for `asked`. */
export const isAtLeast = (role: Role, asked: Role): boolean => roles.indexOf(role) >= roles.indexOf(asked)
