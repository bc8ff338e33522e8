/** Metrics of what the node answers: plain, keyed and NTS requests, and key establishment. */
import type { XdpStatus } from "@meridian/ipc"
import type { NodeSnapshot } from "@meridian/ipc/node-snapshot"
import { ntsFigures } from "@meridian/ipc/nts-figures"
import { addNtsKeCounters, noNtsKeCounters } from "@meridian/ipc/nts-ke-report"
import { BATCH_LATENCY_BINS, BATCH_SIZE_BINS } from "@meridian/ipc/worker-report"
import { byLabel, counter, type Family, gauge, histogram, type Sample } from "./exposition.ts"

export const servingMetrics = (snapshot: NodeSnapshot): readonly Family[] => {
  const { totals, workers, xdp } = snapshot.status
  const each = (value: (worker: (typeof workers)[number]) => number): readonly Sample[] =>
    workers.map((worker) => ({ labels: { worker: worker.index }, value: value(worker) }))
  /** What the BPF program answered stands beside the workers, so that a sum over all holds everything. */
  const byProgram = (value: (program: XdpStatus) => number): readonly Sample[] =>
    isThere(xdp) ? [{ labels: { worker: "xdp" }, value: value(xdp) }] : []
  return [
    counter("meridian_requests_received", "Datagrams read.", [
      ...each(({ received }) => received),
      ...byProgram(({ received }) => received)
    ]),
    counter("meridian_replies_sent", "Replies that the kernel took.", [
      ...each(({ replied }) => replied),
      ...byProgram(({ replied }) => replied)
    ]),
    counter(
      "meridian_replies_unsent",
      "Replies that the kernel refused.",
      each(({ unsent }) => unsent)
    ),
    counter(
      "meridian_receive_queue_overflows",
      "Datagrams that the kernel dropped since the receive queue was full.",
      each(({ overflow }) => overflow)
    ),
    counter("meridian_replies", "Replies by outcome.", byLabel("outcome", totals.served)),
    counter("meridian_drops", "Datagrams that were not answered, by reason.", byLabel("reason", totals.dropped)),
    counter("meridian_requests", "Datagrams read by NTP version and mode.", kinds(totals.kinds ?? [])),
    histogram("meridian_batch_size", "Datagrams that one receive call returned.", {
      bounds: BATCH_SIZE_BINS,
      counts: totals.batchSizes,
      sum: totals.received - (xdp?.received ?? 0)
    }),
    histogram("meridian_batch_duration_seconds", "From receiving requests to sending their replies, by batch.", {
      bounds: BATCH_LATENCY_BINS,
      counts: totals.batchLatencies ?? [],
      sum: (totals.batchMicroseconds ?? 0) / 1e6
    }),
    ...xdpMetrics(snapshot),
    ...ntsMetrics(snapshot),
    ...clientListMetrics(snapshot)
  ]
}

const isThere = (xdp: XdpStatus | null | undefined): xdp is XdpStatus => xdp !== null && xdp !== undefined

/** Nothing where no interface is answered on by XDP. */
const xdpMetrics = ({ status: { xdp } }: NodeSnapshot): readonly Family[] =>
  isThere(xdp)
    ? [
        gauge("meridian_xdp_answers", "1 while the BPF program answers plain requests.", [
          { labels: { interface: xdp.interface, mode: xdp.mode }, value: xdp.answers ? 1 : 0 }
        ]),
        counter(
          "meridian_xdp_passed",
          "Packets to a served address that the BPF program left to the sockets, by why.",
          byLabel("reason", { ...xdp.passed })
        )
      ]
    : []

const kinds = (counts: readonly number[]): readonly Sample[] =>
  counts.flatMap((value, kind) => (value === 0 ? [] : [{ labels: { version: kind >> 3, mode: kind & 7 }, value }]))

const ntsMetrics = (snapshot: NodeSnapshot): readonly Family[] => {
  const { ntsKe } = snapshot.status
  const { server, client } = ntsFigures(snapshot)
  const { made: _, ...byAge } = server.cookies
  const ke = ntsKe.reduce((sum, one) => addNtsKeCounters(sum, one), noNtsKeCounters)
  const certificates = new Map(ntsKe.flatMap((one) => one.certificates).map((one) => [one.fingerprint, one]))
  const asClient = [
    counter("meridian_nts_client_requests", "NTS requests to sources.", [{ value: client.sent }]),
    counter("meridian_nts_client_replies", "NTS replies of sources, by whether they verified.", [
      { labels: { result: "good" }, value: client.good },
      { labels: { result: "bad" }, value: client.bad }
    ]),
    counter("meridian_nts_client_exchanges", "Key establishments with sources, by result.", [
      { labels: { result: "good" }, value: client.exchangesGood },
      { labels: { result: "bad" }, value: client.exchangesBad }
    ])
  ]
  return [
    ...(snapshot.ntsClient === null ? [] : asClient),
    counter("meridian_nts_requests", "NTS requests, by whether they verified.", [
      { labels: { result: "good" }, value: server.good },
      { labels: { result: "bad" }, value: server.bad }
    ]),
    counter(
      "meridian_nts_cookies_opened",
      "Cookies of requests, by the age of their master key.",
      byLabel("age", byAge)
    ),
    counter("meridian_nts_cookies_made", "Cookies made, in replies and by key establishment.", [
      { value: server.cookiesMade }
    ]),
    ...(ntsKe.length === 0
      ? []
      : [
          counter("meridian_nts_ke_connections", "Connections of key establishment that were taken.", [
            { value: ke.accepted }
          ]),
          counter(
            "meridian_nts_ke_handshakes",
            "Key establishments that are over, by result.",
            byLabel("result", ke.outcomes)
          ),
          gauge("meridian_nts_ke_open_connections", "Connections of key establishment that are open.", [
            { value: ntsKe.reduce((sum, { open }) => sum + open, 0) }
          ])
        ]),
    gauge(
      "meridian_nts_certificate_expiry_timestamp_seconds",
      "When each certificate ends.",
      [...certificates.values()].map(({ names, fingerprint, notAfter }) => ({
        labels: { names: names.join(","), fingerprint: fingerprint.slice(0, 16) },
        value: notAfter
      }))
    )
  ]
}

const clientListMetrics = ({ clients }: NodeSnapshot): readonly Family[] =>
  clients === null
    ? []
    : [
        gauge("meridian_clients_known", "Clients in the list.", [{ value: clients.known }]),
        gauge("meridian_clients_most", "Most clients that the list may hold.", [{ value: clients.most }]),
        counter("meridian_clients_evicted", "Clients that had to make room.", [{ value: clients.evicted }]),
        counter("meridian_clients_refused", "Newcomers' packets that no entry made room for.", [
          { value: clients.refused }
        ])
      ]
