/** What came of `meridian reload`: an answer of the node's control socket. */

export interface ReloadReport {
  /** The file can be used. Where it cannot, nothing was changed. */
  readonly usable: boolean
  /** Taken up; false also where it was only looked at. */
  readonly applied: boolean
  /** What is wrong with the file, as a compiler would print it; warnings too. */
  readonly diagnostics: readonly string[]
  /** Differences that take effect without a restart of the node, one line each. */
  readonly changes: readonly string[]
  /** Differences that wait for the next start, with their lines. */
  readonly waiting: readonly string[]
  /** What went wrong beyond ntp.conf: a key file that cannot be read. */
  readonly problems: readonly string[]
}
