/* A socket's options, and how long its queues are. Each of these leaves the socket as it was where the system refuses. */
#ifndef MERIDIAN_SOCKET_OPTIONS_H
#define MERIDIAN_SOCKET_OPTIONS_H

#include <stdio.h>
#include <sys/socket.h>

static inline int set_flag(int descriptor, int level, int name, int value) {
  return setsockopt(descriptor, level, name, &value, sizeof value);
}

/* The FORCE variant passes the system's limit but needs CAP_NET_ADMIN; failing both, the default stays. */
static inline void set_buffer(int descriptor, int forced, int plain, int bytes) {
  if (set_flag(descriptor, SOL_SOCKET, forced, bytes) != 0) set_flag(descriptor, SOL_SOCKET, plain, bytes);
}

static inline void set_queue_bytes(int descriptor, int bytes) { set_buffer(descriptor, SO_RCVBUFFORCE, SO_RCVBUF, bytes); }

/* The receive queue's bound, as it was set: the kernel says twice that. */
static inline int queue_bytes(int descriptor) {
  int bytes = 0;
  socklen_t length = sizeof bytes;
  return getsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, &length) == 0 ? bytes / 2 : 0;
}

/* What anybody may set, bytes; a network namespace may not show it. */
static inline int most_queue_bytes(void) {
  enum { USUAL_MOST_BYTES = 212992 };
  int bytes = USUAL_MOST_BYTES;
  FILE *file = fopen("/proc/sys/net/core/rmem_max", "re");
  if (file == NULL) return bytes;
  if (fscanf(file, "%d", &bytes) != 1) bytes = USUAL_MOST_BYTES;
  fclose(file);
  return bytes;
}

#endif
