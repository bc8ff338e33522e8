/*
 * The clock page: how whoever keeps the clock tells everybody who serves by it. One page of sealed shared memory (or one
 * value of a BPF array map), one writer, any number of readers. This header is all that a reader needs, in the addon, in
 * loadtest/floor and in a BPF program: integers of fixed width, no float, no library call. libs/time/src/clock-line.ts
 * describes the same bytes to TypeScript; a test holds the two together.
 *
 * Served time is a line over CLOCK_MONOTONIC, which nobody can step:
 *
 *     served = base + elapsed + elapsed * rate        where elapsed = CLOCK_MONOTONIC - base_monotonic
 *
 * counted in units of 2^-32 s since 1900, which are NTP timestamps with the era kept. CLOCK_REALTIME is not in it.
 */
#ifndef MERIDIAN_CLOCK_PAGE_H
#define MERIDIAN_CLOCK_PAGE_H

#include <stdbool.h>
#include <stdint.h>

/* The number of this layout, "MC" 2. Zero stands on a page that was never written. */
#define CLOCK_LINE_LAYOUT 0x4d430002u

enum {
  CLOCK_PAGE_BYTES = 4096,
  LEAP_UNSYNCHRONISED = 3,
  STRATUM_UNSYNCHRONISED = 16,
  /* "INIT": the kiss code of a server that has no time to give (RFC 5905 section 7.4). */
  REFERENCE_INIT = 0x494e4954,
  CLOCK_PAGE_READ_ATTEMPTS = 64
};

/* In the machine's byte order. A multiple of 8 bytes long, so that it is copied word by word. */
struct clock_line {
  uint32_t layout;       /* CLOCK_LINE_LAYOUT */
  uint32_t leap;         /* 0 ... 3 (RFC 5905 section 7.3) */
  uint32_t stratum;      /* 1 ... 15, or 16 when unsynchronised */
  uint32_t reference_id; /* of the system peer, as a number */
  uint64_t base_monotonic; /* CLOCK_MONOTONIC at base, ns */
  uint64_t base_seconds;   /* served time at base, seconds since 1900 (the low half is the timestamp's) */
  uint32_t base_fraction;  /* and 2^-32 s */
  uint32_t reference_fraction;
  uint64_t reference_seconds; /* when the clock was last set or corrected, since 1900; both 0: never */
  int64_t rate;               /* 2^-64: what a second of CLOCK_MONOTONIC is more than a second */
  uint64_t root_delay;        /* 2^-32 s */
  uint64_t root_dispersion;   /* 2^-32 s, at base */
  uint64_t dispersion_rate;   /* 2^-64: seconds per second by which it grows */
  uint64_t deadline;          /* CLOCK_MONOTONIC, ns, past which nothing here is good time; 0: it never was */
  int64_t origin_seconds;     /* for writers: Unix time at CLOCK_MONOTONIC 0 as it was when the page was made, */
  uint32_t origin_nanoseconds; /* from which offsets are counted; a later writer goes on with it */
  uint32_t reserved;
};

enum { CLOCK_LINE_WORDS = sizeof(struct clock_line) / 8 };

struct clock_page {
  uint32_t sequence; /* odd while the writer is at work */
  uint32_t reserved;
  struct clock_line line;
};

/* What a reply says at a moment: numbers as they stand in the header, in the machine's byte order. */
struct served_moment {
  uint32_t leap;    /* 3 when not synchronised */
  uint32_t stratum; /* 0 when not synchronised */
  uint32_t reference_id;
  uint32_t root_delay;      /* NTP short */
  uint32_t root_dispersion; /* NTP short */
  uint32_t reference_seconds;
  uint32_t reference_fraction;
  uint32_t seconds;
  uint32_t fraction;
  uint32_t synchronised; /* 0 or 1 */
};

/* The high half of a product: (a * b) / 2^64. By halves, for BPF has no wider multiplication. */
static inline uint64_t clock_multiply_high(uint64_t a, uint64_t b) {
  uint64_t a_low = (uint32_t)a, a_high = a >> 32, b_low = (uint32_t)b, b_high = b >> 32;
  uint64_t middle = a_high * b_low + ((a_low * b_low) >> 32);
  uint64_t other = a_low * b_high + (uint32_t)middle;
  return a_high * b_high + (middle >> 32) + (other >> 32);
}

/* Nanoseconds as units of 2^-32 s, rounded down. */
static inline uint64_t clock_units(uint64_t nanoseconds) {
  uint64_t seconds = nanoseconds / 1000000000u;
  uint64_t rest = nanoseconds - seconds * 1000000000u;
  /* rest * 2^32 / 10^9, by 2^63 / 10^9: too small by one at most, which the remainder tells. A division takes longer. */
  uint64_t fraction = (rest * 9223372036ull) >> 31;
  if ((rest << 32) - fraction * 1000000000u >= 1000000000u) fraction++;
  return (seconds << 32) + fraction;
}

/* How far a reading of CLOCK_MONOTONIC is from base, either way, in units of 2^-32 s. */
static inline uint64_t clock_line_distance(const struct clock_line *line, uint64_t monotonic) {
  bool is_before = monotonic < line->base_monotonic;
  return clock_units(is_before ? line->base_monotonic - monotonic : monotonic - line->base_monotonic);
}

/* Served time over such a distance, negative for a reading from before base. */
static inline int64_t clock_line_bend(const struct clock_line *line, uint64_t units, bool is_before) {
  bool is_slower = line->rate < 0;
  uint64_t bend = clock_multiply_high(units, is_slower ? 0 - (uint64_t)line->rate : (uint64_t)line->rate);
  uint64_t elapsed = is_slower ? units - bend : units + bend;
  return is_before ? -(int64_t)elapsed : (int64_t)elapsed;
}

/* Served time since base, in units of 2^-32 s; negative for a reading of CLOCK_MONOTONIC from before. */
static inline int64_t clock_line_elapsed(const struct clock_line *line, uint64_t monotonic) {
  return clock_line_bend(line, clock_line_distance(line, monotonic), monotonic < line->base_monotonic);
}

static inline uint64_t clock_line_base(const struct clock_line *line) {
  return (line->base_seconds << 32) | line->base_fraction;
}

/* The NTP timestamp that is served at a reading of CLOCK_MONOTONIC. */
static inline uint64_t clock_line_at(const struct clock_line *line, uint64_t monotonic) {
  return clock_line_base(line) + (uint64_t)clock_line_elapsed(line, monotonic);
}

/* The same as whole Unix seconds, whatever the era. */
static inline int64_t clock_line_unix_seconds(const struct clock_line *line, uint64_t monotonic) {
  int64_t since = (clock_line_elapsed(line, monotonic) + (int64_t)line->base_fraction) >> 32;
  return (int64_t)line->base_seconds + since - 2208988800;
}

/* Units of 2^-32 s as an NTP short, rounded up: an error bound that is rounded down would claim more than is known. */
static inline uint32_t clock_short(uint64_t units) {
  return units > ((uint64_t)UINT32_MAX << 16) ? UINT32_MAX : (uint32_t)((units + 0xffff) >> 16);
}

static inline bool clock_line_is_synchronised(const struct clock_line *line, uint64_t monotonic) {
  return monotonic <= line->deadline && line->leap != LEAP_UNSYNCHRONISED && line->stratum < STRATUM_UNSYNCHRONISED;
}

static inline void clock_line_serve(const struct clock_line *line, uint64_t monotonic, struct served_moment *out) {
  bool synchronised = clock_line_is_synchronised(line, monotonic);
  bool is_before = monotonic < line->base_monotonic;
  uint64_t distance = clock_line_distance(line, monotonic);
  uint64_t growth = clock_multiply_high(is_before ? 0 : distance, line->dispersion_rate);
  uint64_t dispersion = line->root_dispersion + growth;
  uint64_t time = clock_line_base(line) + (uint64_t)clock_line_bend(line, distance, is_before);
  out->leap = synchronised ? line->leap : LEAP_UNSYNCHRONISED;
  out->stratum = synchronised ? line->stratum : 0;
  out->reference_id = synchronised ? line->reference_id : REFERENCE_INIT;
  out->root_delay = clock_short(line->root_delay);
  out->root_dispersion = clock_short(dispersion < growth ? UINT64_MAX : dispersion);
  out->reference_seconds = (uint32_t)line->reference_seconds;
  out->reference_fraction = line->reference_fraction;
  out->seconds = (uint32_t)(time >> 32);
  out->fraction = (uint32_t)time;
  out->synchronised = synchronised;
}

static inline bool clock_line_is_sensible(const struct clock_line *line) {
  return line->layout == CLOCK_LINE_LAYOUT && line->leap <= 3 && line->stratum >= 1 &&
         line->stratum <= STRATUM_UNSYNCHRONISED;
}

#ifndef __bpf__
/* Copies a line that is whole, in a bounded number of attempts. False where it is always torn. */
static inline bool clock_page_read(const struct clock_page *page, struct clock_line *out) {
  const uint64_t *from = (const uint64_t *)&page->line;
  uint64_t words[CLOCK_LINE_WORDS];
  for (int attempt = 0; attempt < CLOCK_PAGE_READ_ATTEMPTS; attempt++) {
    uint32_t before = __atomic_load_n(&page->sequence, __ATOMIC_ACQUIRE);
    if (before & 1u) continue;
    for (int word = 0; word < CLOCK_LINE_WORDS; word++) words[word] = __atomic_load_n(&from[word], __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* no word is read after the second look at the sequence */
    if (__atomic_load_n(&page->sequence, __ATOMIC_RELAXED) != before) continue;
    __builtin_memcpy(out, words, sizeof words);
    return true;
  }
  return false;
}

/* Replaces the line. There is one writer; a sequence left odd by one that died is taken over. */
static inline void clock_page_write(struct clock_page *page, const struct clock_line *line) {
  uint64_t *to = (uint64_t *)&page->line, words[CLOCK_LINE_WORDS];
  __builtin_memcpy(words, line, sizeof words);
  uint32_t odd = __atomic_load_n(&page->sequence, __ATOMIC_RELAXED) | 1u;
  __atomic_store_n(&page->sequence, odd, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE); /* the odd sequence is seen before any word of the line */
  for (int word = 0; word < CLOCK_LINE_WORDS; word++) __atomic_store_n(&to[word], words[word], __ATOMIC_RELAXED);
  __atomic_store_n(&page->sequence, odd + 1u, __ATOMIC_RELEASE);
}
#endif

#endif
