/* A UDP socket that receives and sends in batches. Kernel calls only; udp.c puts it into JavaScript's hands. */
#ifndef MERIDIAN_UDP_BATCH_H
#define MERIDIAN_UDP_BATCH_H

#include "clock-difference.h"
#include "clock-page.h"
#include "standing-queue.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
  SLOT_BYTES = 2048,
  SLOT_STRIDE = 2112,
  BATCH_CAPACITY = 64,
  ADDRESS_STRIDE = 28,
  LOCAL_ADDRESS_STRIDE = 16,
  RECEIVE_CONTROL_BYTES = 128,
  SEND_CONTROL_BYTES = 48
};

/* What `now` holds: served time as whole Unix seconds, CLOCK_MONOTONIC in seconds, and an `enum crowd` (standing-queue.h). */
enum { NOW_UNIX, NOW_MONOTONIC, NOW_CROWD, NOW_NUMBERS };

/* The memory that JavaScript sees as one ArrayBuffer. */
struct udp_block {
  uint8_t bytes[BATCH_CAPACITY][SLOT_STRIDE];
  double now[NOW_NUMBERS];
  struct served_moment served; /* what replies say, as of when receive returned */
  uint32_t arrival_seconds[BATCH_CAPACITY];   /* NTP timestamps of served time */
  uint32_t arrival_fractions[BATCH_CAPACITY];
  uint32_t request_lengths[BATCH_CAPACITY];
  uint32_t reply_lengths[BATCH_CAPACITY];
  uint8_t addresses[BATCH_CAPACITY][ADDRESS_STRIDE];
  uint8_t local_addresses[BATCH_CAPACITY][LOCAL_ADDRESS_STRIDE];
};

/* Bin i counts batches that took 2^i to 2^(i+1) microseconds, the first those below 2, the last all that took longer. */
#define LATENCY_BINS 16

struct udp_batch {
  int descriptor; /* -1 once closed */
  int family;     /* AF_INET or AF_INET6 */
  int port;
  bool fixed_source; /* bound to one unicast address: the kernel needs no telling where replies leave from */
  bool may_fragment; /* what leaves now may be fragmented on its way */
  bool gathered;     /* what was received had been waited for, it is no queue that grew while others were answered */
  const struct clock_page *page; /* NULL where there is none to serve by */
  struct clock_line line;        /* as it stood when receive returned */
  struct clock_difference difference;
  struct standing_queue queue;
  uint64_t received_at; /* CLOCK_MONOTONIC when receive returned, ns */
  uint64_t drained_at;  /* what is received was queued after this, ns */
  uint64_t overflows;
  uint64_t receive_errors;
  uint64_t send_errors;
  uint64_t sent; /* replies that the kernel took */
  uint64_t latencies[LATENCY_BINS]; /* from receive to send, of batches whose stamps were moved on */
  uint64_t latency_ns;              /* of all of them together */
  uint32_t interfaces[BATCH_CAPACITY]; /* interface a reply must leave by, 0 for whichever the routes say */
  struct mmsghdr receive_messages[BATCH_CAPACITY];
  struct mmsghdr send_messages[BATCH_CAPACITY];
  struct iovec receive_vectors[BATCH_CAPACITY];
  struct iovec send_vectors[BATCH_CAPACITY];
  _Alignas(struct cmsghdr) uint8_t receive_control[BATCH_CAPACITY][RECEIVE_CONTROL_BYTES];
  _Alignas(struct cmsghdr) uint8_t send_control[BATCH_CAPACITY][SEND_CONTROL_BYTES];
  _Alignas(64) struct udp_block block;
};

/* How to bind. `exclusive` fails with EADDRINUSE where anyone holds the port, and shares it only afterwards. */
struct udp_bind {
  struct sockaddr_storage address;
  socklen_t address_length;
  bool exclusive;
  int receive_buffer_bytes; /* 0 leaves the system's default */
  bool beforehand;          /* the address need not be there yet */
};

/* Opens, sets every option and binds. Returns the descriptor, or -errno. */
int udp_open(const struct udp_bind *options);

/*
 * Takes over a bound UDP descriptor and sets every option on it again. Returns 0, or -errno and leaves it alone. With
 * `batch->page` time is served by that page, else (and until something stands there) by CLOCK_REALTIME as it is now, which
 * is vouched for by nobody.
 */
int udp_adopt(struct udp_batch *batch, int descriptor);

/* Takes up to BATCH_CAPACITY datagrams without blocking, and says when each arrived in served time. Returns how many. */
int udp_receive(struct udp_batch *batch);

/* Says whether the caller sheds: leaves requests of its choice unanswered where `now` says CROWD_SHEDS or CROWD_DROWNS. */
void udp_set_shedding(struct udp_batch *batch, bool sheds);

/*
 * Before a batch is answered whose replies udp_send is to send: of one that is small or gathered, those that are sealed meanwhile are sent
 * at once, and have no reply length any more.
 */
void udp_begin_answer(struct udp_batch *batch, int count, int stamp_at);

/* After it was answered. */
void udp_end_answer(void);

/*
 * Sends slots 0 … count-1 that have a reply length. Returns how many the kernel took. With stamp_at not below 0, replies
 * that end with a 64-bit NTP timestamp at that offset have it moved on by the served time since receive returned, unless it
 * is 0.
 */
int udp_send(struct udp_batch *batch, int count, int stamp_at);

/* Datagrams the kernel dropped on a full receive queue since the socket was made. */
uint64_t udp_overflows(struct udp_batch *batch);

/* Clears a pending error and the error queue, so that the socket polls as readable only when datagrams wait. */
void udp_clear_errors(struct udp_batch *batch);

#endif
