/** Seeds that are run every time, by what they once showed or come to. */
export const corpus: Readonly<Record<string, ReadonlyArray<number>>> = {
  "the first lives of all": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  "a snapshot refused at its mark, and an older one fetched after it": [1324281389],
  "the disk fails as a member that was rolled back writes down that it is in quarantine": [1341790384],
  "a disk goes back within a term to what another leader had left there, as long as what was acknowledged": [
    54381, 303271
  ]
}
