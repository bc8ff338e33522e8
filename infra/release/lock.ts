/** package-lock.json at another version of ours. */

export interface Lock {
  readonly version: string
  readonly packages: Readonly<Record<string, { readonly version?: string }>>
}

/** The root and the workspaces; what a workspace has of others, below its own node_modules, keeps its version. */
const isOurs = (place: string): boolean => place === "" || /^(?:libs|services)\/[^/]+$/.test(place)

/** @param version of the root and of each workspace */
export const lockAt = <A extends Lock>(lock: A, version: string): A => ({
  ...lock,
  version,
  packages: Object.fromEntries(
    Object.entries(lock.packages).map(([place, entry]) => [
      place,
      isOurs(place) && entry.version !== undefined ? { ...entry, version } : entry
    ])
  )
})
