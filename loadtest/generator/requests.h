/* What is asked and what an answer must look like. */
#ifndef REQUESTS_H
#define REQUESTS_H
#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

enum { PACKET = 48, LARGEST_REPLY = 1024, MODE_CLIENT = 3, MODE_SERVER = 4 };
enum { AT_STRATUM = 1, AT_POLL = 2, AT_ORIGIN = 24, AT_RECEIVE = 32, AT_TRANSMIT = 40 };

#define NTP_UNIX_OFFSET 2208988800u

enum { AT_KEY_ID = PACKET, KEY_ID = 4 };
/* The unique identifier field stands first, 32 bytes and its header; the authenticator field follows in a reply. */
enum { AT_UNIQUE_IDENTIFIER = PACKET, UNIQUE_IDENTIFIER = 36, AT_AUTHENTICATOR = AT_UNIQUE_IDENTIFIER + UNIQUE_IDENTIFIER, FIELD_HEADER = 4, AUTHENTICATOR = 0x0404 };

/* What follows the header. Requests with a trailer come from a pool (pool.h). */
enum trailer { NOTHING, MAC, NTS };

struct kind {
  const char *name;
  int version;
  enum trailer trailer;
};

static const struct kind KINDS[] = {{"v4", 4, NOTHING}, {"v3", 3, NOTHING}, {"keyed", 4, MAC}, {"mssntp", 3, MAC}, {"nts", 4, NTS}, {NULL, 0, NOTHING}};

/* Every way an answer can be wrong; each has its counter in the report. */
enum fault { FINE, SHORT, LONGER, MODE, VERSION, ORIGIN, UNSYNCHRONISED, TIME, TRAILER, SOURCE, DUPLICATE, LATE, FAULTS };
static const char *const FAULT_NAMES[FAULTS] = {"fine", "short", "longer", "mode", "version", "origin", "unsynchronised", "time", "trailer", "source", "duplicate", "late"};

static inline uint32_t get32(const unsigned char *at) {
  uint32_t value;
  memcpy(&value, at, 4);
  return ntohl(value);
}

static inline void put32(unsigned char *at, uint32_t value) {
  value = htonl(value);
  memcpy(at, &value, 4);
}

/* The lower half of a request's transmit timestamp: a mix of its number, so that no server can answer by counting. */
static inline uint32_t nonce(uint32_t number, uint32_t seed) {
  uint32_t x = number ^ seed;
  x = (x ^ x >> 16) * 0x85ebca6bu;
  x = (x ^ x >> 13) * 0xc2b2ae35u;
  return x ^ x >> 16;
}

static inline void write_request(unsigned char *p, const struct kind *kind, uint32_t number, uint32_t seed) {
  memset(p, 0, PACKET);
  p[0] = (unsigned char)(kind->version << 3 | MODE_CLIENT);
  p[AT_POLL] = 6;
  put32(p + AT_TRANSMIT, number);
  put32(p + AT_TRANSMIT + 4, nonce(number, seed));
}

/*
 * Judges the header: the server's clock must be this machine's to a second, its stratum 1 to 15 and its leap indicator
 * not "unsynchronised". Whether the origin is one of ours is the caller's question.
 */
static inline enum fault judge_header(const unsigned char *p, unsigned length, unsigned request_length, const struct kind *kind, time_t now) {
  if (length < PACKET) return SHORT;
  if (length > request_length) return LONGER;
  if ((p[0] & 7) != MODE_SERVER) return MODE;
  if ((p[0] >> 3 & 7) != kind->version) return VERSION;
  if (p[0] >> 6 == 3 || p[AT_STRATUM] < 1 || p[AT_STRATUM] > 15) return UNSYNCHRONISED;
  uint64_t receive = (uint64_t)get32(p + AT_RECEIVE) << 32 | get32(p + AT_RECEIVE + 4);
  uint64_t transmit = (uint64_t)get32(p + AT_TRANSMIT) << 32 | get32(p + AT_TRANSMIT + 4);
  int32_t away = (int32_t)((uint32_t)(receive >> 32) - (uint32_t)((uint64_t)now + NTP_UNIX_OFFSET));
  if (away < -1 || away > 1 || (int64_t)(transmit - receive) < 0) return TIME;
  return FINE;
}

/*
 * Judges what follows the header. A MAC has the length and the key id of the request's; NTS is the request's unique
 * identifier and one authenticator field to the end. Whether they prove anything is checked by who holds the keys.
 */
static inline enum fault judge_trailer(const unsigned char *p, unsigned length, const unsigned char *request, unsigned request_length, enum trailer trailer) {
  if (trailer == NOTHING) return FINE;
  if (trailer == MAC) return length == request_length && !memcmp(p + AT_KEY_ID, request + AT_KEY_ID, KEY_ID) ? FINE : TRAILER;
  if (length < AT_AUTHENTICATOR + FIELD_HEADER || memcmp(p + AT_UNIQUE_IDENTIFIER, request + AT_UNIQUE_IDENTIFIER, UNIQUE_IDENTIFIER)) return TRAILER;
  uint32_t field = get32(p + AT_AUTHENTICATOR);
  return field >> 16 == AUTHENTICATOR && AT_AUTHENTICATOR + (field & 0xffff) == length ? FINE : TRAILER;
}
#endif
