/*
 * Plays the program beside a reference clock, as gpsd does, for tests: writes struct shmTime into a System V segment, and
 * sends to unix datagram sockets. Commands come as lines on standard input, each answered by a line:
 *
 *   create KEY SIZE MODE     makes the segment; "exists" when there is one already
 *   adopt KEY                attaches one that is there
 *   hammer MS                writes for good, the same number in every field, resting every now and then
 *   put OFFSET HEX           bytes into it
 *   get OFFSET COUNT         bytes of it, as hex
 *   owner UID                gives it to a user
 *   run OFFSET MS MODE LEAP  true time is CLOCK_REALTIME + OFFSET; a sample each MS milliseconds until `stop`
 *   pulse PATH OFFSET MS     the same by SOCK datagrams with the pulse flag; `sock` without it
 *   sock PATH OFFSET MS AGE  measured so many seconds ago
 *   send PATH HEX            one datagram
 *   stop | remove
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct shm_time {
  int mode;
  volatile int count;
  time_t clock_seconds;
  int clock_microseconds;
  time_t receive_seconds;
  int receive_microseconds, leap, precision, nsamples;
  volatile int valid;
  unsigned clock_nanoseconds, receive_nanoseconds;
  int dummy[8];
};

struct sock_sample {
  struct timeval tv;
  double offset;
  int pulse, leap, pad, magic;
};

static int id = -1, interval_ms, mode, leap, pulse, age;
static unsigned char *memory;
static double offset;
static enum { SILENT, SHARED_MEMORY, DATAGRAMS } running = SILENT;
static bool hammering;
static char target[128];
static int datagrams = -1;

static const char *send_bytes(const char *path, const void *bytes, size_t length) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  if (datagrams < 0) datagrams = socket(AF_UNIX, SOCK_DGRAM, 0);
  ssize_t sent = sendto(datagrams, bytes, length, MSG_DONTWAIT, (struct sockaddr *)&address, sizeof address);
  return sent == (ssize_t)length ? "ok" : strerror(errno);
}

static struct timespec shifted(struct timespec time) {
  double whole = offset < 0 ? -(double)(int64_t)(-offset) - 1 : (double)(int64_t)offset;
  int64_t nanoseconds = time.tv_nsec + (int64_t)((offset - whole) * 1e9);
  time.tv_sec += (time_t)whole + nanoseconds / 1000000000;
  time.tv_nsec = nanoseconds % 1000000000;
  return time;
}

static void write_shared(void) {
  struct shm_time *time = (struct shm_time *)memory;
  struct timespec now, clock;
  clock_gettime(CLOCK_REALTIME, &now);
  clock = shifted(now);
  time->valid = 0;
  time->mode = mode;
  time->count++;
  __sync_synchronize();
  time->clock_seconds = clock.tv_sec;
  time->clock_microseconds = (int)(clock.tv_nsec / 1000);
  time->clock_nanoseconds = (unsigned)clock.tv_nsec;
  time->receive_seconds = now.tv_sec;
  time->receive_microseconds = (int)(now.tv_nsec / 1000);
  time->receive_nanoseconds = (unsigned)now.tv_nsec;
  time->leap = leap;
  time->precision = -20;
  time->nsamples = 3;
  __sync_synchronize();
  time->count++;
  time->valid = 1;
}

/* A writer of mode 1 in a hurry, for some thousand samples. */
static void hammer(void) {
  struct shm_time *time = (struct shm_time *)memory;
  time->mode = 1;
  for (int round = 0; round < 20000; round++) {
    int value = time->count & 0xfffff;
    time->valid = 0;
    time->count++;
    __sync_synchronize();
    time->clock_seconds = value;
    time->clock_microseconds = value;
    time->clock_nanoseconds = (unsigned)value;
    time->receive_seconds = value;
    time->receive_microseconds = value;
    time->receive_nanoseconds = (unsigned)value;
    __sync_synchronize();
    time->count++;
    time->valid = 1;
    for (volatile int pause = 0; pause < 100; pause++) continue;
  }
}

static void write_datagram(void) {
  struct sock_sample sample = {.offset = offset, .pulse = pulse, .leap = leap, .magic = 0x534f434b};
  gettimeofday(&sample.tv, NULL);
  sample.tv.tv_sec -= age;
  send_bytes(target, &sample, sizeof sample);
}

static size_t from_hex(const char *text, unsigned char *bytes, size_t most) {
  size_t length = 0;
  unsigned byte;
  for (; length < most && sscanf(text + 2 * length, "%2x", &byte) == 1; length++) bytes[length] = (unsigned char)byte;
  return length;
}

static const char *command(char *line, char *answer, size_t room) {
  unsigned key, size, permissions;
  unsigned long at, count;
  int place = 0;
  unsigned char bytes[1024];
  if (sscanf(line, "create %x %u %o", &key, &size, &permissions) == 3) {
    id = shmget((key_t)key, size, IPC_CREAT | IPC_EXCL | (int)permissions);
    if (id < 0) return errno == EEXIST ? "exists" : strerror(errno);
    memory = shmat(id, NULL, 0);
    return memory == (void *)-1 ? strerror(errno) : "ok";
  }
  if (sscanf(line, "adopt %x", &key) == 1) {
    id = shmget((key_t)key, 0, 0);
    memory = id < 0 ? NULL : shmat(id, NULL, 0);
    return id < 0 || memory == (void *)-1 ? strerror(errno) : "ok";
  }
  if (sscanf(line, "hammer %d", &interval_ms) == 1 && memory != NULL) {
    hammering = true;
    return running = SHARED_MEMORY, "ok";
  }
  if (sscanf(line, "put %lu %n", &at, &place) == 1 && place > 0 && memory != NULL) {
    size_t length = from_hex(line + place, bytes, sizeof bytes);
    memcpy(memory + at, bytes, length);
    return "ok";
  }
  if (sscanf(line, "get %lu %lu", &at, &count) == 2 && memory != NULL && 2 * count < room) {
    for (unsigned long byte = 0; byte < count; byte++) sprintf(answer + 2 * byte, "%02x", memory[at + byte]);
    return answer;
  }
  if (sscanf(line, "owner %u", &key) == 1) {
    struct shmid_ds status;
    if (shmctl(id, IPC_STAT, &status) != 0) return strerror(errno);
    status.shm_perm.uid = key;
    return shmctl(id, IPC_SET, &status) == 0 ? "ok" : strerror(errno);
  }
  if (sscanf(line, "run %lf %d %d %d", &offset, &interval_ms, &mode, &leap) == 4 && memory != NULL)
    return running = SHARED_MEMORY, "ok";
  age = 0;
  if ((pulse = sscanf(line, "pulse %127s %lf %d", target, &offset, &interval_ms) == 3) ||
      sscanf(line, "sock %127s %lf %d %d", target, &offset, &interval_ms, &age) >= 3)
    return running = DATAGRAMS, "ok";
  if (sscanf(line, "send %127s %n", target, &place) == 1) {
    size_t length = place > 0 ? from_hex(line + place, bytes, sizeof bytes) : 0;
    return send_bytes(target, bytes, length);
  }
  if (strncmp(line, "stop", 4) == 0) return running = SILENT, "ok";
  if (strncmp(line, "remove", 6) == 0) {
    running = SILENT;
    if (id >= 0) shmctl(id, IPC_RMID, NULL);
    id = -1;
    return "ok";
  }
  return "what?";
}

int main(void) {
  char line[4096], answer[4096];
  size_t length = 0;
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (;;) {
    int ready = poll(&input, 1, running == SILENT ? -1 : interval_ms);
    if (ready == 0 && running == SHARED_MEMORY) hammering ? hammer() : write_shared();
    if (ready == 0 && running == DATAGRAMS) write_datagram();
    if (ready <= 0) continue;
    ssize_t got = read(STDIN_FILENO, line + length, sizeof line - 1 - length);
    if (got <= 0) break;
    length += (size_t)got;
    line[length] = 0;
    for (char *end; (end = strchr(line, '\n')) != NULL;) {
      *end = 0;
      printf("%s\n", command(line, answer, sizeof answer));
      length -= (size_t)(end + 1 - line);
      memmove(line, end + 1, length + 1);
    }
  }
  /* Whoever started this is gone: nothing of it stays. */
  if (id >= 0) shmctl(id, IPC_RMID, NULL);
  return 0;
}
