/*
 * CLOCK_REALTIME against CLOCK_MONOTONIC. Both run at one rate, slewed alike, so their difference is constant until somebody
 * steps CLOCK_REALTIME. It is needed for one thing: the kernel stamps datagrams by CLOCK_REALTIME, and served time is a
 * line over CLOCK_MONOTONIC.
 *
 * A reading of one clock between two of the other says that the difference lies in an interval as wide as the reading
 * took. The interval kept is what all readings since the last step allow; one that fits none of it is a step.
 */
#ifndef MERIDIAN_CLOCK_DIFFERENCE_H
#define MERIDIAN_CLOCK_DIFFERENCE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum {
  /* A reading wider than this was interrupted: it is taken again, a few times. ns */
  CLOCK_READING_WIDTH = 1000,
  CLOCK_READING_ATTEMPTS = 4,
  /* Rounding of two clocks that are read to the nanosecond. */
  CLOCK_READING_SLACK = 100
};

struct clock_reading {
  uint64_t monotonic; /* ns, in the middle */
  uint64_t width;     /* ns between the readings on both sides */
  int64_t realtime;   /* ns since 1970 */
};

struct clock_difference {
  int64_t least; /* CLOCK_REALTIME - CLOCK_MONOTONIC, ns */
  int64_t most;
  uint64_t steady_since; /* CLOCK_MONOTONIC, ns: no step since then */
  bool is_known;
};

static inline int64_t nanoseconds_of(const struct timespec *time) {
  return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static inline uint64_t monotonic_nanoseconds(void) {
  struct timespec monotonic;
  clock_gettime(CLOCK_MONOTONIC, &monotonic);
  return (uint64_t)nanoseconds_of(&monotonic);
}

/* Both clocks at one moment. */
static inline void clock_reading_take(struct clock_reading *out) {
  *out = (struct clock_reading){.width = UINT64_MAX};
  for (int attempt = 0; attempt < CLOCK_READING_ATTEMPTS && out->width > CLOCK_READING_WIDTH; attempt++) {
    struct timespec realtime;
    uint64_t before = monotonic_nanoseconds();
    clock_gettime(CLOCK_REALTIME, &realtime);
    uint64_t width = monotonic_nanoseconds() - before;
    if (width >= out->width) continue;
    *out = (struct clock_reading){before + width / 2, width, nanoseconds_of(&realtime)};
  }
}

static inline void clock_difference_note(struct clock_difference *difference, const struct clock_reading *reading) {
  int64_t half = (int64_t)(reading->width / 2 + 1);
  int64_t middle = reading->realtime - (int64_t)reading->monotonic;
  int64_t least = middle - half, most = middle + half;
  if (!difference->is_known || least > difference->most + CLOCK_READING_SLACK ||
      most < difference->least - CLOCK_READING_SLACK) {
    *difference = (struct clock_difference){least, most, reading->monotonic, true};
    return;
  }
  if (least > difference->least) difference->least = least;
  if (most < difference->most) difference->most = most;
  /* They missed each other by less than the slack: the newest reading is the better word. */
  if (difference->least > difference->most) difference->least = difference->most = middle;
}

/*
 * CLOCK_MONOTONIC, ns, at a stamp that the kernel took by CLOCK_REALTIME. A stamp is believed that lies between `since` and
 * `now` and was taken after the last step that was seen. Any other one gives `now`: what arrived and waited for an unknown
 * time is taken to arrive when it is read, which to its sender is a slower network and nothing worse.
 */
static inline uint64_t clock_difference_place(const struct clock_difference *difference, int64_t stamp, uint64_t since,
                                              uint64_t now) {
  int64_t place = stamp - (difference->least + (difference->most - difference->least) / 2);
  uint64_t earliest = since > difference->steady_since ? since : difference->steady_since;
  return place < (int64_t)earliest || place > (int64_t)now ? now : (uint64_t)place;
}

#endif
