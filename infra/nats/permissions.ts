/**
 * Who may do what in NATS, by subject. The names are those of services/coordinator (cluster.ts there lists them).
 *
 * Coordinators write: events, the key store, the lease, commands to the one that leads. Each writes clock events only of
 * its own node and hears only commands for its own node. None may delete a stream or change its settings: that is an
 * administrator's.
 *
 * Readers (an auditor, a backup, monitoring) see the log, live and stored, and nothing of the key store or the lease. They
 * may publish nothing but the questions that reading takes. They get no consumers: whoever may create one may have the
 * server deliver stored messages to a subject of his choice, and that is a way to publish. Their inboxes have a prefix of
 * their own, so that they cannot listen in on answers to coordinators.
 */

export interface Permissions {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
  /** May answer what it was asked. */
  readonly answers: boolean
}

const LOG = "MERIDIAN"
const KEY_STORE = "MERIDIAN_SHELF"
const LEASE = "KV_meridian-lease"

const api = (...requests: readonly string[]): readonly string[] => requests.map((it) => `$JS.API.${it}`)

/** Of the coordinator of a node. */
export const coordinatorPermissions = (node: string): Permissions => ({
  publish: [
    "meridian.keys.*",
    "meridian.members.*",
    "meridian.policy",
    `meridian.clock.${node}`,
    "meridian-shelf.>",
    "$KV.meridian-lease.leader",
    "meridian-command.*",
    ...api("INFO"),
    ...[LOG, KEY_STORE, LEASE].flatMap((stream) =>
      api(`STREAM.CREATE.${stream}`, `STREAM.INFO.${stream}`, `STREAM.MSG.GET.${stream}`)
    ),
    // Retention of clock events; giving the lease up.
    ...api(`STREAM.PURGE.${LOG}`, `STREAM.PURGE.${LEASE}`),
    // Shredding.
    ...api(`STREAM.MSG.DELETE.${KEY_STORE}`),
    ...api(`CONSUMER.CREATE.${LOG}.>`, `CONSUMER.DELETE.${LOG}.>`),
    // Telling the server to go on sending.
    `$JS.FC.${LOG}.>`,
    ...api(`DIRECT.GET.${LEASE}`, `DIRECT.GET.${LEASE}.>`)
  ],
  subscribe: ["_INBOX.>", `meridian-command.${node}`],
  answers: true
})

/** What a reader's inboxes begin with; its client has to be told (`inboxPrefix`). */
export const READER_INBOX = "_INBOX_reader"

export const readerPermissions: Permissions = {
  publish: api(`STREAM.INFO.${LOG}`, `STREAM.MSG.GET.${LOG}`, `DIRECT.GET.${LOG}`, `DIRECT.GET.${LOG}.>`),
  subscribe: [`${READER_INBOX}.>`, "meridian.>"],
  answers: false
}
