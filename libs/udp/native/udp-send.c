/* Sending what a batch was answered. See udp-batch.h for what each function promises. */
#include "socket-options.h"
#include "transmit-stamp.h"
#include "udp-batch.h"

#include <string.h>

/*
 * From a socket that is bound to an address each reply has a call of its own, and the clock is read just before it: replies of one call leave 3 us after each
 * other. On one machine sendto takes as long for each as one sendmmsg for twenty, as the kernel has no header to fetch and to judge; on another, where a call
 * costs more, eight together take a tenth less. So a batch that is over half full, as at saturation, where requests queue for longer than that, goes by eights;
 * but not one that was gathered, whose client would find the time wrong by half of what the eight take.
 *
 * From others a reply says which address it leaves from, which sendto cannot; there a call of its own costs 0.2 us. So each has one where few leave together,
 * and the fuller a batch the more share a call and a reading of the clock.
 *
 * The clock is read before the call and never guessed ahead: a client for which a reply left later than it came finds a delay below zero. OpenNTPD asks again
 * after 50 minutes then.
 */
enum { SENT_ALONE = 12, SENT_IN_PAIRS = 32, SENT_TOGETHER = 8 };

static bool is_backlog(const struct udp_batch *batch, int count) { return count > SENT_IN_PAIRS && !batch->gathered; }

static int sent_together(const struct udp_batch *batch, int count) {
  if (is_backlog(batch, count)) return SENT_TOGETHER;
  return batch->fixed_source || count <= SENT_ALONE ? 1 : 2;
}

/* Longer replies may be authenticated: their stamps stay as they are. */
static bool has_stamp_to_move(const struct udp_batch *batch, int slot, int stamp_at) {
  return batch->block.reply_lengths[slot] == (uint32_t)stamp_at + STAMP_BYTES;
}

/* Until which slot one call sends: as far as there is none to be stamped, since what was sealed of a full batch leaves no later beside the others. */
static int end_of_call(const struct udp_batch *batch, int from, int count, int stamp_at) {
  int together = sent_together(batch, count), until = from;
  if (together < SENT_TOGETHER) return count - from > together ? from + together : count;
  while (until < count && (until - from < together || !has_stamp_to_move(batch, until, stamp_at))) until++;
  return until;
}

/*
 * Tells the kernel which address (and, on a link, which interface) a reply leaves from; nothing where it needs none. Without the padding behind it, IPv6's is
 * as long as the kernel has room for on its stack.
 */
static void set_source(struct udp_batch *batch, int slot, struct msghdr *header) {
  static const uint8_t nowhere[LOCAL_ADDRESS_STRIDE] = {0};
  const uint8_t *local = batch->block.local_addresses[slot];
  size_t length = batch->family == AF_INET ? 4 : 16;
  header->msg_control = NULL;
  header->msg_controllen = 0;
  if (batch->interfaces[slot] == 0 && memcmp(local, nowhere, length) == 0) return;
  struct cmsghdr *item = (struct cmsghdr *)batch->send_control[slot];
  if (batch->family == AF_INET) {
    struct in_pktinfo packet = {.ipi_ifindex = (int)batch->interfaces[slot]};
    memcpy(&packet.ipi_spec_dst, local, 4);
    *item = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof packet), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
    memcpy(CMSG_DATA(item), &packet, sizeof packet);
    header->msg_controllen = item->cmsg_len;
  } else {
    struct in6_pktinfo packet = {.ipi6_ifindex = batch->interfaces[slot]};
    memcpy(&packet.ipi6_addr, local, 16);
    *item = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof packet), .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO};
    memcpy(CMSG_DATA(item), &packet, sizeof packet);
    header->msg_controllen = item->cmsg_len;
  }
  header->msg_control = item;
}

/* As many octets of UDP as fit into 576 of IPv4, which every host takes. */
enum { TAKEN_WHOLE_BYTES = 576 - 20 - 8 };

/*
 * A datagram that nobody may fragment needs no identification (RFC 6864, 4.1), which the kernel draws from a table that all processors write: 3 % of a reply's
 * cost, 4 to 7 where replies are so rare that their code has left the caches. A longer reply may be fragmented, as its request may have been.
 */
static void let_fragment(struct udp_batch *batch, bool may) {
  if (batch->family != AF_INET || batch->may_fragment == may) return;
  set_flag(batch->descriptor, IPPROTO_IP, IP_MTU_DISCOVER, may ? IP_PMTUDISC_DONT : IP_PMTUDISC_PROBE);
  batch->may_fragment = may;
}

static socklen_t address_length(const struct udp_batch *batch) {
  return batch->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static void note_latency(struct udp_batch *batch, uint64_t nanoseconds) {
  int bin = 63 - __builtin_clzll(nanoseconds / 1000 | 1);
  batch->latencies[bin < LATENCY_BINS ? bin : LATENCY_BINS - 1]++;
  batch->latency_ns += nanoseconds;
}

/* The last moment before the kernel has these replies; their stamps stand at `received`. */
static void move_stamps(struct udp_batch *batch, int from, int until, int stamp_at, uint64_t received) {
  uint64_t now = monotonic_nanoseconds();
  if (from == 0) note_latency(batch, now - batch->received_at);
  for (int slot = from; slot < until; slot++)
    if (has_stamp_to_move(batch, slot, stamp_at))
      move_stamp(batch->block.bytes[slot] + stamp_at, clock_line_at(&batch->line, now) - received);
}

/* Readies what slots have to send together. Returns how many messages that are. */
static int prepare_replies(struct udp_batch *batch, int from, int until) {
  uint32_t longest = 0;
  int ready = 0;
  for (int slot = from; slot < until; slot++) {
    uint32_t length = batch->block.reply_lengths[slot];
    if (length == 0) continue;
    if (length > SLOT_BYTES) {
      batch->send_errors++;
      continue;
    }
    if (length > longest) longest = length;
    struct msghdr *header = &batch->send_messages[ready++].msg_hdr;
    batch->send_vectors[slot].iov_len = length;
    header->msg_name = batch->block.addresses[slot];
    header->msg_iov = &batch->send_vectors[slot];
    if (!batch->fixed_source) set_source(batch, slot, header);
  }
  if (ready > 0) let_fragment(batch, longest > TAKEN_WHOLE_BYTES);
  return ready;
}

/* sendmmsg stops at a message that fails. That one is dropped and the rest are tried: each turn gets one further. */
static int send_messages(struct udp_batch *batch, int ready) {
  int done = 0, sent = 0;
  while (done < ready) {
    int taken = sendmmsg(batch->descriptor, batch->send_messages + done, (unsigned)(ready - done), MSG_DONTWAIT);
    if (taken > 0) {
      sent += taken;
      done += taken;
    } else {
      batch->send_errors++;
      done++;
    }
  }
  return sent;
}

/* Sends what a slot has to send, of a socket that is bound to an address, in a call of its own. Returns how many messages the kernel took. */
static int send_alone(struct udp_batch *batch, int slot) {
  uint32_t length = batch->block.reply_lengths[slot];
  const struct sockaddr *to = (const struct sockaddr *)batch->block.addresses[slot];
  if (length == 0) return 0;
  let_fragment(batch, length > TAKEN_WHOLE_BYTES);
  if (length <= SLOT_BYTES &&
      sendto(batch->descriptor, batch->block.bytes[slot], length, MSG_DONTWAIT, to, address_length(batch)) >= 0)
    return 1;
  batch->send_errors++;
  return 0;
}

_Thread_local void (*send_sealed_reply)(const uint8_t *stamp) = NULL;

/* The batch that is being answered, and where its replies' stamps are. */
static _Thread_local struct udp_batch *answered_batch;
static _Thread_local size_t answered_stamp_at;

static void send_sealed(const uint8_t *stamp) {
  struct udp_batch *batch = answered_batch;
  size_t at = (uintptr_t)stamp - (uintptr_t)batch->block.bytes - answered_stamp_at, slot = at / SLOT_STRIDE;
  if (batch->descriptor < 0 || slot >= BATCH_CAPACITY || at % SLOT_STRIDE != 0) return;
  uint32_t *length = &batch->block.reply_lengths[slot];
  if (*length == 0 || *length > SLOT_BYTES) return;
  batch->sent += (uint64_t)(batch->fixed_source ? send_alone(batch, (int)slot)
                                                : send_messages(batch, prepare_replies(batch, (int)slot, (int)slot + 1)));
  *length = 0;
}

void udp_begin_answer(struct udp_batch *batch, int count, int stamp_at) {
  /* What a batch before this one left behind is nothing to send. */
  memset(batch->block.reply_lengths, 0, (size_t)count * sizeof *batch->block.reply_lengths);
  if (batch->descriptor < 0 || stamp_at < 0 || is_backlog(batch, count)) return;
  answered_batch = batch;
  answered_stamp_at = (size_t)stamp_at;
  send_sealed_reply = send_sealed;
}

void udp_end_answer(void) { send_sealed_reply = NULL; }

int udp_send(struct udp_batch *batch, int count, int stamp_at) {
  int sent = 0;
  if (batch->descriptor < 0) return 0;
  if (count > BATCH_CAPACITY) count = BATCH_CAPACITY;
  bool stamps = stamp_at >= 0 && stamp_at <= SLOT_BYTES - STAMP_BYTES, alone = batch->fixed_source && !is_backlog(batch, count);
  uint64_t received = clock_line_at(&batch->line, batch->received_at);
  for (int from = 0, until; from < count; from = until) {
    until = end_of_call(batch, from, count, stamp_at);
    int ready = alone ? 0 : prepare_replies(batch, from, until);
    /* The first says how long the batch took, stamped or not. */
    if (stamps && (!alone || from == 0 || has_stamp_to_move(batch, from, stamp_at)))
      move_stamps(batch, from, until, stamp_at, received);
    sent += alone ? send_alone(batch, from) : send_messages(batch, ready);
  }
  batch->sent += (uint64_t)sent;
  return sent;
}
