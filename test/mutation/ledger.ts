/** Bugs that were once in this code, and the mutant that puts each back: `bun run mutants` shows that it is still noticed. */
export const ledger: Readonly<Record<string, string>> = {
  "where every write takes as long as an election timeout, nobody was elected: who waits for a vote campaigned":
    "m49",
  "the same, because an election was given up before the others' disks had answered": "m50",
  "with every disk full, leadership went round several times a second and filled what was left": "m51",
  "a member without room for a fetched snapshot could not vote": "m52",
  "acknowledged entries that were lost before they were committed were not missed": "m53",
  "a member in quarantine counted for what it had once acknowledged": "m54",
  "a snapshot of the own state that fell due while a fetched one waited for the disk halted the member":
    "m55",
  "proposals and reads of a member that was removed were taken": "m60",
  "followers of a member's ledger were told nothing of what came in a snapshot": "m56",
  "a member that was rolled back, and whose disk failed as it wrote that down, was heard by its leader no more":
    "m125",
  "a heartbeat committed other entries in a log that was rolled back within a term and no shorter for it":
    "m126",
  "the power went while a fetched snapshot took the place of a longer tail, and the tail counted as committed":
    "m130"
}
