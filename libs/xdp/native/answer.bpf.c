/*
 * Answers plain requests for time where the driver hands packets over (XDP), by the same clock page as the workers. A plain request is one of
 * 48 octets in mode 3 of versions 1 to 4, over IPv4 without options or IPv6 without extension headers, with at most one VLAN tag,
 * to an address and port that this node serves. Everything else passes to the sockets, and so does whatever is in doubt.
 *
 * A packet meets: its place, its sender's rule, its checksum, the clock, its sender's limit; then it is turned round in place.
 * Time is the clock page's line over CLOCK_MONOTONIC: no other clock is read.
 */
#include "answer.h"
#include "clock-page.h"
#include "limit.bpf.h"
#include "packet.bpf.h"

MAP(clock_map, BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), CLOCK_PAGE_BYTES, 1, BPF_F_MMAPABLE);
MAP(settings_map, BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(struct xdp_settings), 1, 0);
MAP(places_ipv4, BPF_MAP_TYPE_HASH, sizeof(struct xdp_place_ipv4), 4, 16384, 0);
MAP(places_ipv6, BPF_MAP_TYPE_HASH, sizeof(struct xdp_place_ipv6), 4, 16384, 0);
MAP(rules_even, BPF_MAP_TYPE_LPM_TRIE, sizeof(struct xdp_rule), 4, 1 << 22, BPF_F_NO_PREALLOC);
MAP(rules_odd, BPF_MAP_TYPE_LPM_TRIE, sizeof(struct xdp_rule), 4, 1 << 22, BPF_F_NO_PREALLOC);
MAP(counts_map, BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint32_t), sizeof(struct xdp_counts), 1, 0);

enum { READ_ATTEMPTS = 4, PORT_NTP = 123, MODE_CLIENT = 3, MODE_SERVER = 4, KISS_RATE = 0x52415445 };

/* A copy of the line that is whole. False where it is torn each time, or nothing usable stands there. */
static INLINE bool read_line(const struct clock_page *page, bool needs_fences, struct clock_line *out) {
  const volatile uint64_t *from = (const volatile uint64_t *)&page->line;
  const volatile uint32_t *sequence = &page->sequence;
  uint64_t *to = (uint64_t *)out;
  for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
    uint32_t before = *sequence;
    if (before & 1u) continue;
    if (needs_fences) fence();
#pragma unroll
    for (int word = 0; word < CLOCK_LINE_WORDS; word++) to[word] = from[word];
    if (needs_fences) fence();
    if (*sequence == before) return clock_line_is_sensible(out);
  }
  return false;
}

/* Whether requests are answered where this one was sent to. */
static INLINE bool is_served(const struct xdp_settings *settings, const struct request *request) {
  if (request->family == XDP_IPV4) {
    const struct xdp_place_ipv4 *to = &request->place.ipv4;
#pragma unroll
    for (int near = 0; near < XDP_NEAR_PLACES; near++) {
      const struct xdp_place_ipv4 *place = &settings->ipv4_places[near];
      if (place->address == to->address && place->port == to->port && place->vlan == to->vlan) return true;
    }
    return settings->has_more_places && bpf_map_lookup_elem(&places_ipv4, to) != 0;
  }
  const struct xdp_place_ipv6 *to = &request->place.ipv6;
#pragma unroll
  for (int near = 0; near < XDP_NEAR_PLACES; near++) {
    const struct xdp_place_ipv6 *place = &settings->ipv6_places[near];
    if (place->address[3] == to->address[3] && place->address[2] == to->address[2] &&
        place->address[1] == to->address[1] && place->address[0] == to->address[0] && place->port == to->port &&
        place->vlan == to->vlan)
      return true;
  }
  return settings->has_more_places && bpf_map_lookup_elem(&places_ipv6, to) != 0;
}

/* Whether the access list leaves strangers from there to this program, and has nothing to say of this one. */
static INLINE bool is_stranger(const struct xdp_settings *settings, const struct request *request) {
  uint32_t families = settings->families, from_ntp_port = settings->ntp_families;
  __asm__ volatile("" : "+r"(families), "+r"(from_ntp_port)); /* as in count() */
  if (request->udp->source == htons(PORT_NTP)) families = from_ntp_port;
  if ((families & request->family) == 0) return false;
  if (settings->rules > 1) return true;
  struct xdp_rule key = {.bits = 128};
  copy_address(key.address, request->client);
  void *rule = settings->rules == 0 ? bpf_map_lookup_elem(&rules_even, &key) : bpf_map_lookup_elem(&rules_odd, &key);
  return rule == 0;
}

/* Each count at a place of its own: a program with CAP_BPF alone may not add to a pointer what differs by the way it came. */
static INLINE void count(uint64_t *number) {
  __asm__ volatile("" : "+r"(number));
  *number += 1;
}

static INLINE void count_version(struct xdp_counts *counts, uint32_t version) {
  if (version == 4) count(&counts->versions[3]);
  else if (version == 3) count(&counts->versions[2]);
  else if (version == 2) count(&counts->versions[1]);
  else count(&counts->versions[0]);
}

/*
 * Writes the reply over the request's header, as libs/protocol/src/server.ts does. Returns the sum of its words: read again from where they were just
 * written in parts, they would have to wait for each other.
 */
static INLINE uint64_t write_reply(struct ntp *ntp, const struct xdp_settings *settings,
                                   const struct served_moment *moment, bool is_kiss) {
  uint32_t version = ntp->flags & (7u << 3);
  uint32_t leap = is_kiss ? LEAP_UNSYNCHRONISED : moment->leap;
  int32_t poll = (int8_t)ntp->poll;
  if (poll < settings->minimum_poll) poll = settings->minimum_poll;
  uint32_t stratum = is_kiss ? 0 : moment->stratum;
  const uint32_t words[NTP_BYTES / 4] = {
      leap << 6 | version | MODE_SERVER | stratum << 8 | ((uint32_t)poll & 0xff) << 16 | settings->precision << 24,
      htonl(moment->root_delay),
      htonl(moment->root_dispersion),
      htonl(is_kiss ? KISS_RATE : moment->reference_id),
      htonl(moment->reference_seconds),
      htonl(moment->reference_fraction),
      ntp->transmit[0],
      ntp->transmit[1],
      htonl(moment->seconds),
      htonl(moment->fraction),
      htonl(moment->seconds),
      htonl(moment->fraction)};
  uint64_t sum = 0;
#pragma unroll
  for (int word = 0; word < NTP_BYTES / 4; word++) {
    ((uint32_t *)ntp)[word] = words[word];
    sum += words[word];
  }
  return sum;
}

SECTION("xdp") __attribute__((flatten)) int answer(struct xdp_md *context) {
  uint32_t zero = 0;
  struct request request;
  enum parsed parsed = parse(context, &request);
  if (parsed == NOT_OURS) return XDP_PASS;
  const struct xdp_settings *settings = bpf_map_lookup_elem(&settings_map, &zero);
  if (settings == 0 || settings->answers == 0) return XDP_PASS;
  if (!is_served(settings, &request) || !is_for_interface(&request, settings)) return XDP_PASS;
  struct xdp_counts *counts = bpf_map_lookup_elem(&counts_map, &zero);
  if (counts == 0) return XDP_PASS;
  if (parsed == OTHER_KIND) return count(&counts->passed_kind), XDP_PASS;
  if (!is_stranger(settings, &request)) return count(&counts->passed_rule), XDP_PASS;
  enum checksum checksum = judge_checksum(&request);
  if (checksum == CHECKSUM_WRONG) return count(&counts->passed_damaged), XDP_PASS;
  struct clock_line line;
  const struct clock_page *page = bpf_map_lookup_elem(&clock_map, &zero);
  if (page == 0 || !read_line(page, settings->needs_fences, &line)) return count(&counts->passed_clock), XDP_PASS;

  uint64_t now = bpf_ktime_get_ns();
  uint32_t version = (request.ntp->flags >> 3) & 7;
  count_version(counts, version);
  enum verdict verdict = judge_client(settings, counts, &request, now);
  if (verdict == VERDICT_DROP) return count(&counts->limited), XDP_DROP;
  struct served_moment moment;
  clock_line_serve(&line, now, &moment);
  uint64_t sum = write_reply(request.ntp, settings, &moment, verdict == VERDICT_KISS);
  write_udp(&request, sum, checksum == CHECKSUM_BY_DEVICE && settings->is_generic);
  turn_round(&request, settings);
  if (verdict == VERDICT_KISS) count(&counts->kissed);
  else if (moment.synchronised) count(&counts->served);
  else count(&counts->served_unsynchronised);
  if (version < 4) count(&counts->old_version);
  return XDP_TX;
}

SECTION("license") const char license_name[] = "Apache-2.0";
