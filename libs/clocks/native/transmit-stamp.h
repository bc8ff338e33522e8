/*
 * Transmit timestamps. A reply is stamped when its batch is taken up and the stamp is moved on at the last moment: before
 * the kernel has the reply, or before it is sealed, as nothing can be changed after that. So what is sealed is sent at once.
 */
#ifndef MERIDIAN_TRANSMIT_STAMP_H
#define MERIDIAN_TRANSMIT_STAMP_H

#include <endian.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

enum { STAMP_BYTES = 8 };

static inline double monotonic_seconds(void) {
  struct timespec monotonic;
  clock_gettime(CLOCK_MONOTONIC, &monotonic);
  return (double)monotonic.tv_sec + (double)monotonic.tv_nsec / 1e9;
}

/* The time since a reading of CLOCK_MONOTONIC in units of 2^-32 s; 0 where it is not within the last second, or is NaN. */
static inline uint64_t units_since(double reading) {
  double held = monotonic_seconds() - reading;
  return held > 0 && held < 1 ? (uint64_t)(held * 4294967296.0) : 0;
}

/* Moves the 64-bit NTP timestamp at a place on. One that is 0 says that there is no time to tell, and stays. */
static inline void move_stamp(uint8_t *place, uint64_t units) {
  uint64_t stamp;
  memcpy(&stamp, place, sizeof stamp);
  if (stamp == 0) return;
  stamp = htobe64(be64toh(stamp) + units);
  memcpy(place, &stamp, sizeof stamp);
}

/*
 * Has the kernel take a reply, which is known by the place of its stamp (libs/udp/native/udp-send.c). NULL where replies are sent when all of the batch
 * are sealed: then all that is done meanwhile lies between a reply's stamp and its departure.
 */
extern _Thread_local void (*send_sealed_reply)(const uint8_t *stamp);

static inline void reply_is_sealed(const uint8_t *stamp) {
  if (send_sealed_reply != NULL) send_sealed_reply(stamp);
}

#endif
