/** CHANGELOG.md as a release takes it (Keep a Changelog): what is unreleased becomes the release's own. */

export class ReleaseRefused extends Error {
  readonly _tag = "ReleaseRefused"
}

const UNRELEASED = "## [Unreleased]"

/** Whether a text is MAJOR.MINOR.PATCH (Semantic Versioning, without labels). */
export const isVersion = (text: string): boolean => /^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)$/.test(text)

/** Whether `next` comes after `last`. */
export const isLater = (next: string, last: string): boolean => {
  const [a = [], b = []] = [next, last].map((text) => text.split(".").map(Number))
  const at = a.findIndex((part, index) => part !== b[index])
  return at !== -1 && (a[at] ?? 0) > (b[at] ?? 0)
}

/** The lines of the unreleased changes, without their heading. @throws ReleaseRefused where there are none */
export const unreleased = (changelog: string): string => {
  const start = changelog.indexOf(UNRELEASED)
  const end = changelog.indexOf("\n## ", start + 1)
  const text = start === -1 ? "" : changelog.slice(start + UNRELEASED.length, end === -1 ? undefined : end).trim()
  if (text === "")
    throw new ReleaseRefused(
      `expected changes under "${UNRELEASED}" in CHANGELOG.md, found none: write what users can see`
    )
  return text
}

/**
 * The changelog after the release.
 * @param date YYYY-MM-DD
 * @throws ReleaseRefused
 */
export const released = (changelog: string, version: string, date: string): string => {
  unreleased(changelog)
  return changelog.replace(UNRELEASED, `${UNRELEASED}\n\n## [${version}] - ${date}`)
}
