/*
 * What becomes of a receive queue over time: for each step on the command line, `RATE:MILLISECONDS` with a server that answers a hundred requests a
 * millisecond, or `pause:MILLISECONDS`, prints the changes of its length, whether requests stand in it, what was lost and what was shed.
 *
 * After `sheds` the server passes requests over where it is told to, in a fifth of an answer's time; after `small` no queue is long; after `halting` others
 * have its core for 60 ms of 80. As in the kernel, what was read counts as still there until that is a quarter of the queue, or the queue is empty.
 */
#include "../../native/standing-queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 64, WORK_NS = 10000, SHED_NS = 2000, LONG = 43000, SMALL = 540, SHORT = 270, HALT_EVERY_NS = 80000000, HALT_NS = 60000000 };

int main(int argc, char **argv) {
  struct standing_queue queue = {.long_bytes = 1};
  uint64_t now = 1000000000, waiting = 0, lost = 0, work = WORK_NS * BATCH, length = LONG;
  double arrived = 0;
  bool halting = false;
  uint64_t read = 0; /* and still counted */
  for (int step = 1; step < argc; step++) {
    if (strcmp(argv[step], "sheds") == 0) queue.sheds = true;
    if (strcmp(argv[step], "small") == 0) length = SMALL;
    if (strcmp(argv[step], "halting") == 0) halting = true;
    const char *colon = strchr(argv[step], ':');
    if (colon == NULL) continue;
    bool is_pause = strncmp(argv[step], "pause", 5) == 0;
    double rate = is_pause ? 50000 : atof(argv[step]);
    uint64_t end = now + strtoull(colon + 1, NULL, 10) * 1000000;
    int changes[3] = {0};
    uint64_t shed = 0;
    lost = 0;
    for (uint64_t last = now; now < end; last = now) {
      now = is_pause ? end : now + work;
      if (halting && now % HALT_EVERY_NS < HALT_NS) now += HALT_NS - now % HALT_EVERY_NS;
      arrived += (double)(now - last) * rate / 1e9;
      uint64_t came = (uint64_t)arrived, room = queue.stands && !queue.sheds ? SHORT : length;
      arrived -= (double)came;
      uint64_t held = waiting + read, fits = held >= room ? 0 : came < room - held ? came : room - held;
      waiting += fits;
      lost += came - fits;
      uint64_t count = waiting < BATCH ? waiting : BATCH;
      if (count == 0) continue;
      /* The oldest stands there for as long as it took all of them to come. */
      struct queue_sight sight = {.emptied = count < BATCH, .lost = came > fits, .waited = (uint64_t)((double)waiting / rate * 1e9)};
      if (!sight.emptied && sight.waited >= LONG_WAIT_NS) sight.filled = (uint32_t)((waiting + read) * 1024 / room);
      changes[standing_queue_note(&queue, sight, now)]++;
      if (queue.is_crowded) shed += count;
      work = (queue.is_crowded ? SHED_NS : WORK_NS) * BATCH;
      waiting -= count;
      read = waiting == 0 || read + count >= room / 4 ? 0 : read + count;
    }
    printf("%d %d %d %llu %llu\n", changes[QUEUE_STANDS], changes[QUEUE_CALMS], queue.stands, (unsigned long long)lost, (unsigned long long)shed);
  }
  return 0;
}
