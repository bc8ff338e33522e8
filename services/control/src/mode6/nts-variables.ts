/** The system variables of ntpq's `ntsinfo` and `ntskeinfo`, by their names in NTPsec 1.2.2 and later. */
import { ntsFigures } from "@meridian/ipc/nts-figures"
import { fixed, whole } from "./values.ts"
import type { Variable } from "./view.ts"

type Figures = ReturnType<typeof ntsFigures>

const of = (pick: (figures: Figures) => number): Variable => {
  return ({ snapshot }) => whole(pick(ntsFigures(snapshot)))
}

const cookiesOf = ({ server: { cookies } }: Figures) => cookies
const opened = (figures: Figures): number => {
  const { current, old, old2, older, unknown } = cookiesOf(figures)
  return current + old + old2 + older + unknown
}

/** Seconds that connections took, by how they ended: wall-clock time is known of all, processor time of the processes. */
const seconds = (kind: "good" | "nossl" | "bad", what: "wall" | "cpu"): Variable => {
  return ({ snapshot }) =>
    fixed(
      snapshot.status.ntsKe.reduce((sum, { time }) => sum + (time?.[kind][what] ?? 0), 0),
      3
    )
}

export const ntsVariables: Readonly<Record<string, Variable>> = {
  nts_client_send: of(({ client }) => client.sent),
  nts_client_recv_good: of(({ client }) => client.good),
  nts_client_recv_bad: of(({ client }) => client.bad),
  nts_server_send: of(({ server }) => server.sent),
  nts_server_recv_good: of(({ server }) => server.good),
  nts_server_recv_bad: of(({ server }) => server.bad),
  nts_cookie_make: of(({ server }) => server.cookiesMade),
  nts_cookie_not_server: ({ snapshot }) => whole(snapshot.status.totals.dropped["nts-not-served"] ?? 0),
  nts_cookie_decode_total: of(opened),
  nts_cookie_decode_current: of((figures) => cookiesOf(figures).current),
  /** 1.2.2's name for it. */
  nts_cookie_decode: of((figures) => cookiesOf(figures).current),
  nts_cookie_decode_old: of((figures) => cookiesOf(figures).old),
  nts_cookie_decode_old2: of((figures) => cookiesOf(figures).old2),
  nts_cookie_decode_older: of((figures) => cookiesOf(figures).older),
  nts_cookie_decode_too_old: of((figures) => cookiesOf(figures).unknown),
  nts_cookie_decode_error: of((figures) => cookiesOf(figures).forged),
  nts_ke_serves_good: of(({ ke }) => ke.good),
  nts_ke_serves_good_wall: seconds("good", "wall"),
  nts_ke_serves_good_cpu: seconds("good", "cpu"),
  nts_ke_serves_nossl: of(({ ke }) => ke.withoutTls),
  nts_ke_serves_nossl_wall: seconds("nossl", "wall"),
  nts_ke_serves_nossl_cpu: seconds("nossl", "cpu"),
  nts_ke_serves_bad: of(({ ke }) => ke.bad),
  nts_ke_serves_bad_wall: seconds("bad", "wall"),
  nts_ke_serves_bad_cpu: seconds("bad", "cpu"),
  nts_ke_probes_good: of(({ client }) => client.exchangesGood),
  nts_ke_probes_bad: of(({ client }) => client.exchangesBad)
}
