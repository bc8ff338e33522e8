/** The files and directories that settings name, and what the node does with each. */
import type { Settings } from "./settings.ts"
import type { Origin, Sourced } from "./sourced.ts"

/** What a file holds, where what it holds can be looked at. */
type FileContent = "symmetric-keys" | "certificate" | "private-key" | "leap-seconds"

export interface NamedFile {
  /** As written. */
  readonly path: string
  /** In a message: "the key file". */
  readonly what: string
  /** The line that names it. */
  readonly origin: Origin
  /**
   * `read`: a file, or a directory, that is read by the node's user; `read-first`: by whoever starts the node, and again by its
   * user; `write-beside`: a file that is written anew in its directory and need not be there; `directory`: one in which files are
   * made; `append`: a file that root opens, in a directory that is there; `device`: whatever is there, opened for reading.
   */
  readonly use: "read" | "read-first" | "write-beside" | "directory" | "append" | "device"
  /** Others must not read it. */
  readonly secret: boolean
  readonly content?: FileContent
  /** Of a private key: the certificate that it belongs to. */
  readonly certificate?: string
}

/** In the order of the reference. What a flag set is the caller's own matter and stands here too. */
export const namedFiles = (settings: Settings): readonly NamedFile[] => {
  const { discipline, keys, nts, autokey, cluster, http, logfile, referenceClocks, sources } = settings
  const open = { secret: false } as const
  const secret = { use: "read", secret: true } as const
  return [
    ...one(logfile, { what: "the log file", use: "append", ...open }),
    ...one(keys.file, { what: "the key file", use: "read-first", secret: true, content: "symmetric-keys" }),
    ...nts.certificates.flatMap(({ value, origin }): NamedFile[] => [
      { path: value.cert, origin, what: "the certificate", use: "read", ...open, content: "certificate" },
      {
        path: value.key,
        origin,
        what: "the private key",
        ...secret,
        content: "private-key",
        certificate: value.cert
      }
    ]),
    ...one(nts.ca, { what: "the file of authorities", use: "read", ...open }),
    ...one(nts.cookieFile, { what: "the cookie file", use: "write-beside", secret: true }),
    ...(autokey.enabled.value
      ? one(autokey.keysDirectory, { what: "the directory of Autokey's keys", use: "read-first", ...open })
      : []),
    ...sources.flatMap(({ value, origin }) =>
      one({ value: value.nts?.ca, origin }, { what: "the file of authorities", use: "read", ...open })
    ),
    ...referenceClocks.flatMap(({ value, origin }): NamedFile[] =>
      value.path === undefined || value.kind === undefined
        ? []
        : [
            value.kind === "sock"
              ? { path: value.path, origin, what: "the socket", use: "write-beside", ...open }
              : { path: value.path, origin, what: "the device", use: "device", ...open }
          ]
    ),
    ...one(discipline.driftFile, { what: "the drift file", use: "write-beside", ...open }),
    ...one(discipline.leapFile, { what: "the leap file", use: "read", ...open, content: "leap-seconds" }),
    ...([...discipline.statistics.values()].some(({ value }) => value.enabled)
      ? one(discipline.statisticsDirectory, { what: "the directory of statistics", use: "directory", ...open })
      : []),
    ...one(cluster.nkeyFile, { what: "the seed of the NATS key", ...secret }),
    ...one(cluster.authorityFile, { what: "the file of authorities", use: "read", ...open }),
    ...one(cluster.keyFile, { what: "the cluster key", ...secret }),
    ...Object.entries(http.files.value).flatMap(([name, path]) =>
      one(
        { value: path, origin: http.files.origin },
        {
          what: `the file of 'control http … ${name}'`,
          use: "read",
          secret: name !== "cert" && name !== "clients"
        }
      )
    )
  ]
}

const one = (
  { value, origin }: Sourced<string | undefined>,
  file: Omit<NamedFile, "path" | "origin">
): readonly NamedFile[] => (value === undefined ? [] : [{ path: value, origin, ...file }])
