/*
 * How often one address may ask, and the list of clients: the laws of libs/protocol/src/access/rate-limit.ts in integers. An address has a
 * record of its own in a table that forgets the one that was silent for longest.
 */
#ifndef MERIDIAN_XDP_LIMIT_H
#define MERIDIAN_XDP_LIMIT_H

#include "clock-page.h"
#include "packet.bpf.h"

enum { SECOND_NS = 1000000000, KISSES_PER_SECOND = 1000, HEADWAYS = 8, HEADWAY_GRACE = 2 };
enum { LN2_Q30 = 744261118, HALF_ROOT_Q30 = 759250125, ONE_Q30 = 1 << 30 };

enum verdict { VERDICT_PASS, VERDICT_DROP, VERDICT_KISS };

/* The supervisor says how many entries, by the memory that the list of clients may take. */
MAP(clients_map, BPF_MAP_TYPE_LRU_HASH, 16, sizeof(struct xdp_client), 1 << 16, 0);

/* 2^-32 times 2^-halvings, with 24 bits of fraction: exact to one in 400,000. */
static INLINE uint64_t halve(uint64_t value, uint64_t halvings) {
  uint64_t whole = halvings >> 24;
  if (whole > 63) return 0;
  /* e^-z around the middle of the octave, term by term: BPF has no signed division. */
  int64_t z = (((int64_t)(halvings & 0xffffff) - (1 << 23)) * LN2_Q30) >> 24;
  int64_t power = ONE_Q30 / 24 - ((z * (ONE_Q30 / 120)) >> 30);
  power = ((z * power) >> 30) - ONE_Q30 / 6;
  power = ((z * power) >> 30) + ONE_Q30 / 2;
  power = ((z * power) >> 30) - ONE_Q30;
  power = ((z * power) >> 30) + ONE_Q30;
  uint64_t factor = ((uint64_t)power * HALF_ROOT_Q30) >> 30;
  return clock_multiply_high(value, factor << 34) >> whole;
}

static INLINE enum verdict judge_score(const struct xdp_settings *settings, struct xdp_client *client, uint64_t elapsed) {
  uint64_t halvings = clock_multiply_high(elapsed, settings->decay);
  uint64_t score = halve((uint64_t)client->level, halvings) + settings->increment;
  client->level = (int64_t)score;
  if (score < settings->average) return VERDICT_PASS;
  return score <= settings->kiss_up_to ? VERDICT_KISS : VERDICT_DROP;
}

static INLINE enum verdict judge_headway(const struct xdp_settings *settings, struct xdp_client *client, uint64_t elapsed) {
  int64_t interval = (int64_t)((elapsed + SECOND_NS / 2) / (uint64_t)SECOND_NS);
  int64_t left = client->level > interval ? client->level - interval : 0;
  int64_t headway = 1ll << (settings->average & 31), reserve = HEADWAYS * headway;
  if (interval + 1 >= (int64_t)settings->minimum && left + headway < reserve)
    return client->level = left + headway - HEADWAY_GRACE, VERDICT_PASS;
  client->level = left < reserve ? reserve + headway : left;
  return left < reserve ? VERDICT_KISS : VERDICT_DROP;
}

static INLINE enum verdict judge_tokens(const struct xdp_settings *settings, struct xdp_client *client, uint64_t elapsed) {
  /* Longer than any bucket takes to fill; no shift below loses a bit. */
  uint64_t nanoseconds = elapsed >> 40 >= SECOND_NS ? (uint64_t)SECOND_NS << 40 : elapsed;
  uint64_t seconds = nanoseconds / SECOND_NS, units = clock_units(nanoseconds);
  uint64_t back = settings->interval >= 0 ? units >> (settings->interval & 63)
                  : seconds > 4096        ? UINT64_MAX
                                          : units << (-settings->interval & 31);
  uint64_t spent = (uint64_t)client->level > back ? (uint64_t)client->level - back : 0;
  const uint64_t token = 1ull << 32;
  client->level = (int64_t)spent;
  if (spent + token <= settings->average) return client->level = (int64_t)(spent + token), VERDICT_PASS;
  if (bpf_get_prandom_u32() < settings->leak) return VERDICT_PASS;
  return bpf_get_prandom_u32() < settings->kod ? VERDICT_KISS : VERDICT_DROP;
}

/* Takes a kiss out of the second's, if one is left on this processor. */
static INLINE bool take_kiss(struct xdp_counts *counts, uint64_t now) {
  if (now - counts->kiss_second >= SECOND_NS) {
    counts->kiss_second = now;
    counts->kiss_count = 0;
  }
  if (counts->kiss_count >= KISSES_PER_SECOND) return false;
  counts->kiss_count++;
  return true;
}

static INLINE void first_packet(const struct xdp_settings *settings, struct xdp_client *client, uint64_t now) {
  client->first = client->last = now;
  client->level = settings->law == LAW_SCORE    ? (int64_t)settings->increment
                  : settings->law == LAW_TOKENS ? 1ll << 32
                                                : 0;
  client->dropped = client->kisses = 0;
}

/* Counts a request for its sender, and holds that to the limit. Two processors at one record may lose a count. */
static INLINE enum verdict judge_client(const struct xdp_settings *settings, struct xdp_counts *counts,
                                        const struct request *request, uint64_t now) {
  uint32_t key[4], weight = 1;
  if (settings->law == LAW_NONE) {
    if (settings->note_every == 0) return VERDICT_PASS;
    if (now - counts->noted < settings->note_every) return counts->unnoted++, VERDICT_PASS;
    weight = 1 + (uint32_t)counts->unnoted;
    counts->noted = now;
    counts->unnoted = 0;
  }
  copy_address(key, request->client);
  if (request->family == XDP_IPV6)
    for (int word = 0; word < 4; word++) key[word] &= ((const uint32_t *)settings->ipv6_mask)[word];
  struct xdp_client *client = bpf_map_lookup_elem(&clients_map, key);
  if (client == 0) {
    struct xdp_client fresh = {.count = weight, .port = request->udp->source, .version_and_mode = request->ntp->flags & 63};
    copy_address(fresh.address, request->client);
    first_packet(settings, &fresh, now);
    bpf_map_update_elem(&clients_map, key, &fresh, BPF_ANY);
    return VERDICT_PASS;
  }
  uint64_t elapsed = now > client->last ? now - client->last : 0;
  enum verdict verdict = VERDICT_PASS;
  if (settings->law == LAW_SCORE) verdict = judge_score(settings, client, elapsed);
  else if (settings->law == LAW_HEADWAY) verdict = judge_headway(settings, client, elapsed);
  else if (settings->law == LAW_TOKENS) verdict = judge_tokens(settings, client, elapsed);
  client->last = now;
  client->count += weight;
  client->port = request->udp->source;
  client->version_and_mode = request->ntp->flags & 63;
  client->is_over = verdict != VERDICT_PASS;
  copy_address(client->address, request->client);
  if (verdict == VERDICT_PASS) return verdict;
  client->dropped++;
  if (verdict == VERDICT_DROP || settings->kisses == 0 || !take_kiss(counts, now)) return VERDICT_DROP;
  client->kisses++;
  return VERDICT_KISS;
}

#endif
