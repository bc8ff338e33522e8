/* What is asked and what an answer must look like. A new kind of request (keyed, NTS) is a row in KINDS with its length. */
#ifndef REQUESTS_H
#define REQUESTS_H
#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

enum { PACKET = 48, LARGEST_REPLY = 1024, MODE_CLIENT = 3, MODE_SERVER = 4 };
enum { AT_STRATUM = 1, AT_POLL = 2, AT_ORIGIN = 24, AT_RECEIVE = 32, AT_TRANSMIT = 40 };

#define NTP_UNIX_OFFSET 2208988800u

struct kind {
  const char *name;
  int version, length;
};

static const struct kind KINDS[] = {{"v4", 4, PACKET}, {"v3", 3, PACKET}, {NULL, 0, 0}};

/* Every way an answer can be wrong; each has its counter in the report. */
enum fault { FINE, SHORT, LONGER, MODE, VERSION, ORIGIN, UNSYNCHRONISED, TIME, SOURCE, DUPLICATE, LATE, FAULTS };
static const char *const FAULT_NAMES[FAULTS] = {"fine", "short", "longer", "mode", "version", "origin", "unsynchronised", "time", "source", "duplicate", "late"};

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
  memset(p, 0, (size_t)kind->length);
  p[0] = (unsigned char)(kind->version << 3 | MODE_CLIENT);
  p[AT_POLL] = 6;
  put32(p + AT_TRANSMIT, number);
  put32(p + AT_TRANSMIT + 4, nonce(number, seed));
}

/*
 * Judges everything that needs no memory of the requests; on FINE, `number` is the request that the origin names. The
 * server's clock must be this machine's to a second, its stratum 1 to 15 and its leap indicator not "unsynchronised".
 */
static inline enum fault judge(const unsigned char *p, unsigned length, const struct kind *kind, uint32_t seed, time_t now, uint32_t *number) {
  if (length < PACKET) return SHORT;
  if (length > (unsigned)kind->length) return LONGER;
  if ((p[0] & 7) != MODE_SERVER) return MODE;
  if ((p[0] >> 3 & 7) != kind->version) return VERSION;
  *number = get32(p + AT_ORIGIN);
  if (get32(p + AT_ORIGIN + 4) != nonce(*number, seed)) return ORIGIN;
  if (p[0] >> 6 == 3 || p[AT_STRATUM] < 1 || p[AT_STRATUM] > 15) return UNSYNCHRONISED;
  uint64_t receive = (uint64_t)get32(p + AT_RECEIVE) << 32 | get32(p + AT_RECEIVE + 4);
  uint64_t transmit = (uint64_t)get32(p + AT_TRANSMIT) << 32 | get32(p + AT_TRANSMIT + 4);
  int32_t away = (int32_t)((uint32_t)(receive >> 32) - (uint32_t)((uint64_t)now + NTP_UNIX_OFFSET));
  if (away < -1 || away > 1 || (int64_t)(transmit - receive) < 0) return TIME;
  return FINE;
}
#endif
