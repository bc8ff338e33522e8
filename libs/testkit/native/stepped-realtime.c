/*
 * Preloaded into a node's processes by tests: CLOCK_REALTIME as if somebody had set it, while the machine's own stays what
 * it is. The file that MERIDIAN_TEST_REALTIME names holds three 64-bit numbers of nanoseconds: before, after, and the moment
 * of the machine's CLOCK_REALTIME from which `after` is what is added, in place of `before`. The kernel's stamps of packets
 * are moved by what was added when they were taken, as a kernel whose clock was set would have stamped them.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { BEFORE, AFTER, AT };

static const volatile int64_t *step;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_gettimeofday)(struct timeval *, void *);
static ssize_t (*real_recvmsg)(int, struct msghdr *, int);
static int (*real_recvmmsg)(int, struct mmsghdr *, unsigned, int, struct timespec *);

__attribute__((constructor)) static void begin(void) {
  real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  real_gettimeofday = dlsym(RTLD_NEXT, "gettimeofday");
  real_recvmsg = dlsym(RTLD_NEXT, "recvmsg");
  real_recvmmsg = dlsym(RTLD_NEXT, "recvmmsg");
  const char *path = getenv("MERIDIAN_TEST_REALTIME");
  int descriptor = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  void *memory = mmap(NULL, 3 * sizeof *step, PROT_READ, MAP_SHARED, descriptor, 0);
  close(descriptor);
  if (memory != MAP_FAILED) step = memory;
}

static int64_t moved(int64_t nanoseconds) {
  if (step == NULL) return nanoseconds;
  return nanoseconds + (nanoseconds >= step[AT] ? step[AFTER] : step[BEFORE]);
}

static void move(struct timespec *time) {
  int64_t nanoseconds = moved((int64_t)time->tv_sec * 1000000000 + time->tv_nsec);
  time->tv_sec = nanoseconds / 1000000000;
  time->tv_nsec = nanoseconds % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  int result = real_clock_gettime(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) move(time);
  return result;
}

time_t time(time_t *out) {
  struct timespec now = {0, 0};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  int result = real_gettimeofday(time, zone);
  if (result != 0 || time == NULL) return result;
  struct timespec precise = {time->tv_sec, time->tv_usec * 1000};
  move(&precise);
  time->tv_sec = precise.tv_sec;
  time->tv_usec = precise.tv_nsec / 1000;
  return result;
}

static void move_stamps(struct msghdr *message) {
  for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item != NULL; item = CMSG_NXTHDR(message, item)) {
    if (item->cmsg_level != SOL_SOCKET || (item->cmsg_type != SO_TIMESTAMPNS && item->cmsg_type != SO_TIMESTAMPING)) continue;
    struct timespec stamp;
    memcpy(&stamp, CMSG_DATA(item), sizeof stamp);
    if (stamp.tv_sec == 0) continue;
    move(&stamp);
    memcpy(CMSG_DATA(item), &stamp, sizeof stamp);
  }
}

ssize_t recvmsg(int descriptor, struct msghdr *message, int flags) {
  ssize_t result = real_recvmsg(descriptor, message, flags);
  if (result >= 0) move_stamps(message);
  return result;
}

int recvmmsg(int descriptor, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout) {
  int result = real_recvmmsg(descriptor, messages, count, flags, timeout);
  for (int index = 0; index < result; index++) move_stamps(&messages[index].msg_hdr);
  return result;
}
