/** The system variables of ntpq's `iostats`, `authinfo`, `kerninfo` and `monstats`. */
import { quoted } from "@meridian/wire/mode6-text"
import { fixed, hex, milliseconds, whole } from "./values.ts"
import type { ControlView, Variable } from "./view.ts"

const uptime: Variable = ({ snapshot, age }) => whole(snapshot.status.uptime + age)

/** Datagrams that a worker takes at once (BATCH_CAPACITY of libs/udp). */
const BATCH = 64

const wakeups = ({ snapshot }: ControlView): number =>
  snapshot.status.totals.batchSizes.reduce((sum, count) => sum + count, 0)

const sourcesSent = ({ snapshot }: ControlView): number =>
  snapshot.sources.reduce((sum, { detail, mode }) => (mode === "clock" ? sum : sum + (detail?.packetsSent ?? 0)), 0)

const sourcesReceived = ({ snapshot }: ControlView): number =>
  snapshot.sources.reduce((sum, { detail, mode }) => (mode === "clock" ? sum : sum + (detail?.packetsReceived ?? 0)), 0)

/** Clients, sources and control requests together, as ntpd has one socket for all. Buffers are the workers' batches. */
export const iostatVariables: Readonly<Record<string, Variable>> = {
  iostats_reset: uptime,
  total_rbuf: ({ snapshot }) => whole(snapshot.status.workers.length * BATCH),
  free_rbuf: ({ snapshot }) => whole(snapshot.status.workers.length * BATCH),
  used_rbuf: () => "0",
  rbuf_lowater: () => "0",
  io_dropped: ({ snapshot }) => whole(snapshot.status.totals.overflow),
  io_ignored: ({ snapshot }) => whole(snapshot.status.totals.dropped["mode"] ?? 0),
  io_received: (view) => whole(view.snapshot.status.totals.received + sourcesReceived(view) + view.requests),
  io_sent: (view) => whole(view.snapshot.status.totals.replied + sourcesSent(view) + view.requests),
  io_sendfailed: ({ snapshot }) => whole(snapshot.status.totals.unsent),
  io_wakeups: (view) => whole(wakeups(view)),
  io_goodwakeups: (view) => whole(wakeups(view)),
  io_pkt_reads: ({ snapshot }) => whole(snapshot.status.totals.received),
  io_ref_reads: ({ snapshot }) =>
    whole(
      snapshot.sources.reduce(
        (sum, { detail, mode }) => sum + (mode === "clock" ? (detail?.packetsReceived ?? 0) : 0),
        0
      )
    )
}

const served = (view: ControlView, ...names: readonly string[]): number =>
  names.reduce((sum, name) => sum + (view.snapshot.status.totals.served[name] ?? 0), 0)
const dropped = (view: ControlView, ...names: readonly string[]): number =>
  names.reduce((sum, name) => sum + (view.snapshot.status.totals.dropped[name] ?? 0), 0)

const keyedSources = ({ snapshot }: ControlView) =>
  snapshot.sources.filter(({ authentication }) => authentication.kind === "symmetric")
const keyedSent = (view: ControlView): number =>
  keyedSources(view).reduce((sum, { detail }) => sum + (detail?.packetsSent ?? 0), 0)
const keyedReceived = (view: ControlView): number =>
  keyedSources(view).reduce((sum, { detail }) => sum + (detail?.packetsReceived ?? 0), 0)

/** MACs of ciphers (CMAC) are counted apart from digests where every key of the node is of one kind. */
const areCiphers = ({ snapshot }: ControlView): boolean => {
  const types = snapshot.status.keys.symmetricKeyTypes ?? []
  return types.length > 0 && types.every((type) => type.startsWith("AES"))
}

const made = (view: ControlView): number =>
  served(view, "served-keyed", "served-peer") + keyedSent(view) + view.digests.made
const verified = (view: ControlView): number =>
  served(view, "served-keyed", "served-peer") + keyedReceived(view) + view.digests.verified
const failed = (view: ControlView): number =>
  dropped(view, "bad-mac") + served(view, "crypto-nak-sent") + view.digests.failed
const unless = (ciphers: boolean, count: (view: ControlView) => number): Variable => {
  return (view) => whole(areCiphers(view) === ciphers ? count(view) : 0)
}

export const authenticationVariables: Readonly<Record<string, Variable>> = {
  authreset: uptime,
  authkeys: ({ snapshot }) => whole(snapshot.status.keys.symmetricKeyIds.length),
  authfreek: () => "0",
  authklookups: (view) =>
    whole(made(view) + verified(view) + failed(view) + dropped(view, "unknown-key", "untrusted-key")),
  authknotfound: (view) => whole(dropped(view, "unknown-key")),
  authkuncached: () => "0",
  authkexpired: () => "0",
  authencrypts: (view) => whole(made(view)),
  authdigestencrypts: unless(false, made),
  authcmacencrypts: unless(true, made),
  authdecrypts: (view) => whole(verified(view) + failed(view)),
  authdigestdecrypts: unless(false, (view) => verified(view) + failed(view)),
  authdigestfails: unless(false, failed),
  authcmacdecrypts: unless(true, (view) => verified(view) + failed(view)),
  authcmacfails: unless(true, failed)
}

const kernelStatus = ({ kernel }: ControlView): string =>
  [
    ...(kernel?.ownLoop === true ? ["pll"] : []),
    ...(kernel?.leap === "insert" ? ["ins"] : []),
    ...(kernel?.leap === "delete" ? ["del"] : []),
    ...(kernel?.synchronised === true ? [] : ["unsync"]),
    "nano"
  ].join(" ")

/** The kernel's clock as clock_adjtime(2) has it. Meridian uses neither its loop nor its PPS. */
export const kernelVariables: Readonly<Record<string, Variable>> = {
  koffset: () => "0",
  kfreq: ({ kernel }) => fixed((kernel?.frequency ?? 0) * 1e6, 6),
  kmaxerr: ({ kernel }) => milliseconds(kernel?.maxError ?? 16),
  kesterr: ({ kernel }) => milliseconds(kernel?.estimatedError ?? 16),
  kstflags: (view) => quoted(kernelStatus(view)),
  ktimeconst: ({ snapshot }) => whole(snapshot.tracking?.poll ?? 0),
  kprecis: ({ snapshot }) => milliseconds(2 ** snapshot.facts.precision, 6),
  kfreqtol: () => "500",
  kppsfreq: () => "0",
  kppsstab: () => "0",
  kppsjitter: () => "0",
  kppscalibdur: () => "0",
  kppscalibs: () => "0",
  kppscaliberrs: () => "0",
  kppsjitexc: () => "0",
  kppsstbexc: () => "0"
}

/** In the list, of which a picture holds the first so many. */
const listed = ({ snapshot }: ControlView): number => snapshot.clients?.known ?? 0

/**
 * The client list. One that the workers do not keep is off, and empty. Its memory is all there from the start; no number of entries is
 * kept whatever their age.
 */
export const monitorVariables: Readonly<Record<string, Variable>> = {
  mru_enabled: ({ snapshot }) => hex(snapshot.clients === null ? 0 : 3),
  mru_hashslots: (view) => whole(listed(view)),
  mru_depth: (view) => whole(listed(view)),
  mru_deepest: (view) => whole(listed(view)),
  mru_mindepth: () => "0",
  mru_maxage: ({ snapshot }) => whole(snapshot.clients?.maxAge ?? 0),
  mru_minage: ({ snapshot }) => whole(snapshot.clients?.minAge ?? 0),
  mru_maxdepth: ({ snapshot }) => whole(snapshot.clients?.most ?? 0),
  mru_mem: ({ snapshot }) => whole(Math.ceil((snapshot.clients?.bytes ?? 0) / 1024)),
  mru_maxmem: ({ snapshot }) => whole(Math.ceil((snapshot.clients?.bytes ?? 0) / 1024)),
  mru_exists: ({ snapshot }) =>
    whole(snapshot.clients?.entries.reduce((sum, { packets }) => sum + packets - 1, 0) ?? 0),
  mru_new: ({ snapshot }) => whole((snapshot.clients?.known ?? 0) + (snapshot.clients?.evicted ?? 0)),
  mru_recycleold: () => "0",
  mru_recyclefull: ({ snapshot }) => whole(snapshot.clients?.evicted ?? 0),
  mru_none: () => "0",
  mru_oldest_age: ({ snapshot, age }) => {
    const oldest = snapshot.clients?.entries.at(-1)
    return whole(oldest === undefined ? 0 : snapshot.at + age - oldest.last)
  }
}
