/* Sockets, and recvmmsg over preallocated slots; udp-send.c has sendmmsg. See udp-batch.h for what each function promises. */
#include "udp-batch.h"
#include "receive-queue.h"
#include "socket-options.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <unistd.h>

#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29 /* Linux 4.20; not in every libc's headers */
#endif

_Static_assert(sizeof(time_t) == 8, "timestamps after 2038 need a 64-bit time_t");

enum { RECEIVE_ATTEMPTS = 8, SEND_BUFFER_BYTES = 1 << 20 };

/* A datagram may be stamped a little before the queue is seen empty and be queued after that. ns */
static const uint64_t QUEUEING_SLACK = 1000000000;

/* What a reader needs on the descriptor. An earlier holder may have set something else. */
static int set_reader_options(int descriptor, int family) {
  int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
  int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0) return -errno;
  if (fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0) return -errno;
  if (set_flag(descriptor, SOL_SOCKET, SO_TIMESTAMPNS, 1) != 0) return -errno;
  if (set_flag(descriptor, level, family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, 1) != 0) return -errno;
  if (set_flag(descriptor, level, family == AF_INET ? IP_RECVERR : IPV6_RECVERR, 0) != 0) return -errno;
  set_flag(descriptor, SOL_SOCKET, SO_RXQ_OVFL, 1);
  return 0;
}

/* Sharing is switched on before bind to join whoever shares the port, after it to be refused by them. */
static int bind_options(int descriptor, const struct udp_bind *options) {
  int family = options->address.ss_family;
  if (family == AF_INET6 && set_flag(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1) != 0) return -errno;
  if (!options->exclusive && set_flag(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) != 0) return -errno;
  /* What comes to a multicast group is for sockets that joined it, which these do not: each of them would answer it. */
  if (family == AF_INET6) set_flag(descriptor, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
  else set_flag(descriptor, IPPROTO_IP, IP_MULTICAST_ALL, 0);
  int failure = set_reader_options(descriptor, family);
  if (failure != 0) return failure;
  if (options->receive_buffer_bytes > 0)
    set_buffer(descriptor, SO_RCVBUFFORCE, SO_RCVBUF, options->receive_buffer_bytes);
  set_buffer(descriptor, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER_BYTES);
  if (options->beforehand) set_flag(descriptor, IPPROTO_IP, IP_FREEBIND, 1);
  if (bind(descriptor, (const struct sockaddr *)&options->address, options->address_length) != 0) return -errno;
  if (options->exclusive && set_flag(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) != 0) return -errno;
  return 0;
}

int udp_open(const struct udp_bind *options) {
  int descriptor = socket(options->address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  if (descriptor < 0) return -errno;
  int failure = bind_options(descriptor, options);
  if (failure == 0) return descriptor;
  close(descriptor);
  return failure;
}

/* True where replies can leave from no other address than the one bound. That address goes into every slot. */
static bool note_fixed_source(struct udp_batch *batch, const struct sockaddr_storage *bound) {
  const struct sockaddr_in *four = (const struct sockaddr_in *)bound;
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)bound;
  const void *address = batch->family == AF_INET ? (const void *)&four->sin_addr : (const void *)&six->sin6_addr;
  size_t length = batch->family == AF_INET ? 4 : 16;
  if (batch->family == AF_INET) {
    uint32_t host = ntohl(four->sin_addr.s_addr);
    if (host == INADDR_ANY || host == INADDR_BROADCAST || IN_MULTICAST(host)) return false;
  } else if (IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr) || IN6_IS_ADDR_MULTICAST(&six->sin6_addr)) {
    return false;
  }
  for (int slot = 0; slot < BATCH_CAPACITY; slot++) memcpy(batch->block.local_addresses[slot], address, length);
  return true;
}

static void prepare_messages(struct udp_batch *batch) {
  socklen_t address_length = batch->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  for (int slot = 0; slot < BATCH_CAPACITY; slot++) {
    batch->receive_vectors[slot] = (struct iovec){batch->block.bytes[slot], SLOT_BYTES};
    batch->send_vectors[slot] = (struct iovec){batch->block.bytes[slot], 0};
    batch->receive_messages[slot].msg_hdr = (struct msghdr){
        .msg_name = batch->block.addresses[slot],
        .msg_namelen = address_length,
        .msg_iov = &batch->receive_vectors[slot],
        .msg_iovlen = 1,
        .msg_control = batch->receive_control[slot],
        .msg_controllen = RECEIVE_CONTROL_BYTES,
    };
    batch->send_messages[slot].msg_hdr = (struct msghdr){.msg_namelen = address_length, .msg_iovlen = 1};
  }
}

/* CLOCK_REALTIME as a line, for want of a better one: good time to nobody. */
static void start_line(struct udp_batch *batch) {
  struct clock_reading reading;
  clock_reading_take(&reading);
  clock_difference_note(&batch->difference, &reading);
  batch->drained_at = reading.monotonic;
  uint64_t realtime = reading.realtime > 0 ? (uint64_t)reading.realtime : 0;
  batch->line = (struct clock_line){
      .layout = CLOCK_LINE_LAYOUT,
      .leap = LEAP_UNSYNCHRONISED,
      .stratum = STRATUM_UNSYNCHRONISED,
      .base_monotonic = reading.monotonic,
      .base_seconds = realtime / 1000000000u + 2208988800u,
      .base_fraction = (uint32_t)clock_units(realtime % 1000000000u),
  };
}

int udp_adopt(struct udp_batch *batch, int descriptor) {
  struct sockaddr_storage bound;
  socklen_t length = sizeof bound;
  int type = 0, protocol = 0;
  socklen_t option_length = sizeof type;
  if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &option_length) != 0) return -errno;
  if (getsockopt(descriptor, SOL_SOCKET, SO_PROTOCOL, &protocol, &option_length) != 0) return -errno;
  if (getsockname(descriptor, (struct sockaddr *)&bound, &length) != 0) return -errno;
  if (type != SOCK_DGRAM || protocol != IPPROTO_UDP) return -EPROTOTYPE;
  if (bound.ss_family != AF_INET && bound.ss_family != AF_INET6) return -EAFNOSUPPORT;
  in_port_t port =
      bound.ss_family == AF_INET ? ((struct sockaddr_in *)&bound)->sin_port : ((struct sockaddr_in6 *)&bound)->sin6_port;
  if (port == 0) return -EDESTADDRREQ;
  int failure = set_reader_options(descriptor, bound.ss_family);
  if (failure != 0) return failure;
  batch->descriptor = descriptor;
  batch->family = bound.ss_family;
  batch->port = ntohs(port);
  batch->fixed_source = note_fixed_source(batch, &bound);
  if (batch->fixed_source)
    set_flag(descriptor, batch->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
             batch->family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, 0);
  /* An earlier holder may have left it otherwise. */
  if (batch->family == AF_INET) set_flag(descriptor, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
  batch->may_fragment = true;
  receive_queue_take(&batch->queue, descriptor);
  prepare_messages(batch);
  start_line(batch);
  return 0;
}

/* SO_RXQ_OVFL is 32 bits and wraps. It is taken only forwards: SO_MEMINFO may already have reported a later count. */
static void note_overflows(struct udp_batch *batch, uint32_t count) {
  int32_t more = (int32_t)(count - (uint32_t)batch->overflows);
  if (more > 0) batch->overflows += (uint32_t)more;
}

static bool is_link_local4(const void *address) {
  const uint8_t *bytes = address;
  return bytes[0] == 169 && bytes[1] == 254;
}

/* Where the reply has to leave from: the address that was asked, or (asked by multicast) the kernel's choice. */
static void note_destination4(struct udp_batch *batch, int slot, const struct in_pktinfo *packet) {
  memcpy(batch->block.local_addresses[slot], &packet->ipi_spec_dst, 4);
  const struct sockaddr_in *source = (const struct sockaddr_in *)batch->block.addresses[slot];
  bool bound_to_link = is_link_local4(&packet->ipi_spec_dst) || is_link_local4(&source->sin_addr);
  batch->interfaces[slot] = bound_to_link ? (uint32_t)packet->ipi_ifindex : 0;
}

static void note_destination6(struct udp_batch *batch, int slot, const struct in6_pktinfo *packet) {
  bool multicast = IN6_IS_ADDR_MULTICAST(&packet->ipi6_addr);
  if (multicast)
    memset(batch->block.local_addresses[slot], 0, 16);
  else
    memcpy(batch->block.local_addresses[slot], &packet->ipi6_addr, 16);
  const struct sockaddr_in6 *source = (const struct sockaddr_in6 *)batch->block.addresses[slot];
  bool bound_to_link =
      multicast || IN6_IS_ADDR_LINKLOCAL(&packet->ipi6_addr) || IN6_IS_ADDR_LINKLOCAL(&source->sin6_addr);
  batch->interfaces[slot] = bound_to_link ? packet->ipi6_ifindex : 0;
}

/* Reads one message's control data. Returns its arrival, CLOCK_MONOTONIC; without a kernel timestamp that is the moment of reading. */
static uint64_t note_control(struct udp_batch *batch, int slot, struct msghdr *header) {
  uint64_t arrival = batch->received_at;
  for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item != NULL; item = CMSG_NXTHDR(header, item)) {
    if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_TIMESTAMPNS) {
      struct timespec stamp;
      memcpy(&stamp, CMSG_DATA(item), sizeof stamp);
      arrival = clock_difference_place(&batch->difference, nanoseconds_of(&stamp), batch->drained_at, batch->received_at);
    } else if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SO_RXQ_OVFL) {
      uint32_t count;
      memcpy(&count, CMSG_DATA(item), sizeof count);
      note_overflows(batch, count);
    } else if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo packet;
      memcpy(&packet, CMSG_DATA(item), sizeof packet);
      note_destination4(batch, slot, &packet);
    } else if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO) {
      struct in6_pktinfo packet;
      memcpy(&packet, CMSG_DATA(item), sizeof packet);
      note_destination6(batch, slot, &packet);
    }
  }
  uint64_t timestamp = clock_line_at(&batch->line, arrival);
  batch->block.arrival_seconds[slot] = (uint32_t)(timestamp >> 32);
  batch->block.arrival_fractions[slot] = (uint32_t)timestamp;
  return arrival;
}

/* The line as it stands now, and what it says. What is torn or was never written leaves the one before in force. */
static void read_time(struct udp_batch *batch) {
  struct udp_block *block = &batch->block;
  struct clock_reading reading;
  struct clock_line line;
  clock_reading_take(&reading);
  clock_difference_note(&batch->difference, &reading);
  if (batch->page != NULL && clock_page_read(batch->page, &line) && clock_line_is_sensible(&line)) batch->line = line;
  batch->received_at = reading.monotonic;
  clock_line_serve(&batch->line, reading.monotonic, &block->served);
  block->now[NOW_UNIX] = (double)clock_line_unix_seconds(&batch->line, reading.monotonic);
  block->now[NOW_MONOTONIC] = (double)reading.monotonic / 1e9;
}

/* A pending error (a peer's ICMP) is reported in place of a datagram and is gone when read: try again, a few times. */
static int receive_messages(struct udp_batch *batch) {
  for (int attempt = 0; attempt < RECEIVE_ATTEMPTS; attempt++) {
    int count = recvmmsg(batch->descriptor, batch->receive_messages, BATCH_CAPACITY, MSG_DONTWAIT | MSG_TRUNC, NULL);
    if (count >= 0) return count;
    if (errno == EAGAIN) return 0;
    if (errno != EINTR) batch->receive_errors++;
  }
  return 0;
}

/* Reads what was lost by now. Returns how full the receive queue is, of 1,024; 0 where the kernel does not say. */
static uint32_t look_into_queue(struct udp_batch *batch) {
  uint32_t memory[SK_MEMINFO_VARS];
  socklen_t length = sizeof memory;
  if (getsockopt(batch->descriptor, SOL_SOCKET, SO_MEMINFO, memory, &length) != 0 || length <= SK_MEMINFO_DROPS * sizeof *memory) return 0;
  note_overflows(batch, memory[SK_MEMINFO_DROPS]);
  uint32_t bound = memory[SK_MEMINFO_RCVBUF];
  return bound == 0 ? 0 : (uint32_t)((uint64_t)memory[SK_MEMINFO_RMEM_ALLOC] * 1024 / bound);
}

static void note_queue(struct udp_batch *batch, int count, uint64_t overflows, uint64_t oldest) {
  struct standing_queue *queue = &batch->queue;
  struct queue_sight sight = {.emptied = count < BATCH_CAPACITY,
                              .waited = oldest < batch->received_at ? batch->received_at - oldest : 0};
  /* A datagram tells what was lost before it: in a long queue that is old. */
  if (queue->sheds && !queue->stands && !sight.emptied && sight.waited >= LONG_WAIT_NS) sight.filled = look_into_queue(batch);
  sight.lost = batch->overflows != overflows;
  enum queue_change change = standing_queue_note(queue, sight, batch->received_at);
  if (change != QUEUE_STAYS && !queue->sheds) receive_queue_fit(queue, batch->descriptor);
  batch->block.now[NOW_CROWD] = standing_queue_crowd(queue);
}

void udp_set_shedding(struct udp_batch *batch, bool sheds) {
  receive_queue_set_shedding(&batch->queue, batch->descriptor, sheds);
}

int udp_receive(struct udp_batch *batch) {
  if (batch->descriptor < 0) return 0;
  socklen_t address_length = batch->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  int count = receive_messages(batch);
  read_time(batch);
  uint64_t oldest = batch->received_at, overflows = batch->overflows;
  for (int slot = 0; slot < count; slot++) {
    struct msghdr *header = &batch->receive_messages[slot].msg_hdr;
    batch->block.request_lengths[slot] = batch->receive_messages[slot].msg_len;
    uint64_t arrival = note_control(batch, slot, header);
    if (slot == 0) oldest = arrival;
    header->msg_namelen = address_length;
    header->msg_controllen = RECEIVE_CONTROL_BYTES;
    header->msg_flags = 0;
  }
  if (count < BATCH_CAPACITY) batch->drained_at = batch->received_at - QUEUEING_SLACK;
  if (batch->queue.long_bytes > 0 || batch->queue.sheds) note_queue(batch, count, overflows, oldest);
  return count;
}

uint64_t udp_overflows(struct udp_batch *batch) {
  /* The control message comes only with the next datagram; SO_MEMINFO knows the count already. */
  if (batch->descriptor >= 0) look_into_queue(batch);
  return batch->overflows;
}

void udp_clear_errors(struct udp_batch *batch) {
  int error;
  socklen_t length = sizeof error;
  uint8_t control[512];
  struct msghdr message = {.msg_control = control};
  getsockopt(batch->descriptor, SOL_SOCKET, SO_ERROR, &error, &length);
  for (int drained = 0; drained < BATCH_CAPACITY; drained++) {
    message.msg_controllen = sizeof control;
    if (recvmsg(batch->descriptor, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return;
  }
}
