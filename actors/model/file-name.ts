/** What secrets and configs may be called. */

// Written without nested repetition: it runs on what strangers send.
const pattern = /^[a-zA-Z0-9](?:[a-zA-Z0-9_.-]*[a-zA-Z0-9])?$/

export const isFileName = (name: string): boolean => name.length <= 64 && pattern.test(name)
