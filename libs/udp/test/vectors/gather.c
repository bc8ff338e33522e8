/*
 * How long requests would wait at a steady rate: for each rate (requests a second) on the command line, after the bound in ns, runs a
 * second of receives as the packet loop does them and prints the longest wait before a receive, and requests per receive, of its
 * second half.
 */
#include "../../native/gather.h"

#include <stdio.h>
#include <stdlib.h>

enum { SECOND = 1000000000, WORK_NS = 10000 };

static void run(double rate, uint64_t most_ns) {
  struct gather gather = {.most_ns = most_ns, .window_from = 1};
  uint64_t now = 1, arrived = 0, receives = 0, requests = 0, longest = 0;
  while (now < SECOND) {
    uint64_t wait = gather_wait(&gather, now);
    uint64_t before = now;
    now += wait;
    uint64_t due = (uint64_t)((double)now * rate / SECOND);
    if (due == arrived) { /* nothing there: the loop waits until the next one comes */
      gather_note(&gather, 0, now);
      now = (uint64_t)((double)(arrived + 1) * SECOND / rate) + 1;
      due = arrived + 1;
    }
    uint64_t count = due - arrived > 64 ? 64 : due - arrived;
    arrived += count;
    gather_note(&gather, (int)count, now);
    if (before > SECOND / 2) {
      receives++;
      requests += count;
      if (wait > longest) longest = wait;
    }
    now += WORK_NS + count * 2000;
  }
  printf("%.0f %llu %.2f\n", rate, (unsigned long long)longest, receives == 0 ? 0 : (double)requests / (double)receives);
}

int main(int argc, char **argv) {
  for (int argument = 2; argument < argc; argument++) run(atof(argv[argument]), strtoull(argv[1], NULL, 10));
  return 0;
}
