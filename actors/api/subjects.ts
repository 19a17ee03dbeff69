/** Where other systems ask: `troupe.api.v1.as.<client>.<resource>.<verb>`, which says who asks, and without `as.<client>`. */
export const apiSubject = "troupe.api.v1"

/** nats-server lets nobody else ask there. */
export const apiSubjectOf = (client: string): string => `${apiSubject}.as.${client}`

/** The client whose own subject this is. */
export function askerOf(subject: string): string | undefined {
  const [, , , as, client, , verb] = subject.split(".")
  return as === "as" && verb !== undefined ? client : undefined
}
