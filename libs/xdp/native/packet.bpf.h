/* Reading a packet, and turning it round. Every pointer into it is checked against its end before it is followed. */
#ifndef MERIDIAN_XDP_PACKET_H
#define MERIDIAN_XDP_PACKET_H

#include "answer.h"
#include "kernel.bpf.h"

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_VLAN = 0x8100, ETHERTYPE_IPV6 = 0x86dd, PROTOCOL_UDP = 17 };
enum { NTP_BYTES = 48, UDP_BYTES = 8 + NTP_BYTES, UDP_WORDS = UDP_BYTES / 4, VLAN_ID = 0x0fff, DONT_FRAGMENT = 0x4000 };

struct ethernet {
  uint8_t destination[6], source[6];
  uint16_t type;
};
struct vlan {
  uint16_t tag, type;
};
struct ipv4 {
  uint8_t version_and_words, service;
  uint16_t bytes, id, fragment;
  uint8_t ttl, protocol;
  uint16_t checksum;
  uint32_t source, destination;
};
struct ipv6 {
  uint32_t version_and_flow;
  uint16_t bytes;
  uint8_t next, hop_limit;
  uint32_t source[4], destination[4];
};
struct udp {
  uint16_t source, destination, bytes, checksum;
};
struct ntp {
  uint8_t flags, stratum, poll, precision;
  uint32_t root_delay, root_dispersion, reference_id, reference[2], origin[2], receive[2], transmit[2];
};

enum parsed { NOT_OURS, OTHER_KIND, PLAIN_REQUEST };
enum checksum { CHECKSUM_WRONG, CHECKSUM_RIGHT, CHECKSUM_BY_DEVICE };

struct request {
  struct ethernet *ethernet;
  struct ipv4 *ipv4;
  struct ipv6 *ipv6;
  struct udp *udp;
  struct ntp *ntp;
  enum xdp_family family;
  uint32_t client[4]; /* IPv4 as ::ffff:a.b.c.d */
  union {
    struct xdp_place_ipv4 ipv4;
    struct xdp_place_ipv6 ipv6;
  } place;
};

static INLINE void copy_address(uint32_t *to, const uint32_t *from) {
  for (int word = 0; word < 4; word++) to[word] = from[word];
}

static INLINE uint16_t fold(uint64_t sum) {
  sum = (sum & 0xffffffffu) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}

/* Addresses that send nothing: the kernel drops them, and is left to. */
static INLINE bool may_ask_ipv4(uint32_t source, uint32_t destination) {
  uint32_t first = source & 0xff;
  return first != 0 && first != 127 && first < 224 && source != destination;
}

static INLINE bool may_ask_ipv6(const uint32_t *source) {
  return (source[0] & 0xff) != 0xff && (source[0] | source[1]) != 0;
}

static INLINE bool parse_ipv4(void *at, void *end, struct request *request, uint16_t vlan) {
  struct ipv4 *ip = at;
  if ((void *)(ip + 1) > end || ip->protocol != PROTOCOL_UDP || ip->version_and_words != 0x45) return false;
  /* A fragment's ports may be another's. */
  if ((ip->fragment & htons(0x3fff)) != 0 || !may_ask_ipv4(ip->source, ip->destination)) return false;
  request->ipv4 = ip;
  request->family = XDP_IPV4;
  request->client[0] = request->client[1] = 0;
  request->client[2] = htonl(0xffff);
  request->client[3] = ip->source;
  request->udp = (struct udp *)(ip + 1);
  if ((void *)(request->udp + 1) > end || request->udp->destination == 0) return false;
  request->place.ipv4 = (struct xdp_place_ipv4){ip->destination, request->udp->destination, vlan};
  return true;
}

static INLINE bool parse_ipv6(void *at, void *end, struct request *request, uint16_t vlan) {
  struct ipv6 *ip = at;
  if ((void *)(ip + 1) > end || ip->next != PROTOCOL_UDP || (ip->version_and_flow & 0xf0) != 0x60) return false;
  if (!may_ask_ipv6(ip->source)) return false;
  request->ipv6 = ip;
  request->family = XDP_IPV6;
  copy_address(request->client, ip->source);
  request->udp = (struct udp *)(ip + 1);
  if ((void *)(request->udp + 1) > end || request->udp->destination == 0) return false;
  copy_address(request->place.ipv6.address, ip->destination);
  request->place.ipv6.port = request->udp->destination;
  request->place.ipv6.vlan = vlan;
  return true;
}

/* Lengths that all say the same, in a frame without padding behind them. */
static INLINE bool has_plain_lengths(const struct request *request) {
  if (request->udp->bytes != htons(UDP_BYTES)) return false;
  return request->family == XDP_IPV4 ? request->ipv4->bytes == htons(sizeof(struct ipv4) + UDP_BYTES)
                                     : request->ipv6->bytes == htons(UDP_BYTES);
}

static INLINE enum parsed parse(const struct xdp_md *context, struct request *request) {
  void *at = (void *)(long)context->data, *end = (void *)(long)context->data_end;
  request->ethernet = at;
  if ((void *)(request->ethernet + 1) > end) return NOT_OURS;
  uint16_t type = request->ethernet->type, vlan = 0;
  at = request->ethernet + 1;
  if (type == htons(ETHERTYPE_VLAN)) {
    struct vlan *tag = at;
    if ((void *)(tag + 1) > end) return NOT_OURS;
    vlan = htons(tag->tag) & VLAN_ID;
    type = tag->type;
    at = tag + 1;
  }
  if (type == htons(ETHERTYPE_IPV4)) {
    if (!parse_ipv4(at, end, request, vlan)) return NOT_OURS;
  } else if (type == htons(ETHERTYPE_IPV6)) {
    if (!parse_ipv6(at, end, request, vlan)) return NOT_OURS;
  } else return NOT_OURS;
  request->ntp = (struct ntp *)(request->udp + 1);
  /* With CAP_BPF alone a program may ask of two pointers which is greater, not whether they are the same. */
  uint8_t *behind = (uint8_t *)(request->ntp + 1);
  if ((void *)behind > end || (void *)(behind + 1) <= end) return OTHER_KIND;
  if (!has_plain_lengths(request) || request->udp->source == 0) return OTHER_KIND;
  uint32_t version = (request->ntp->flags >> 3) & 7;
  return (request->ntp->flags & 7) == 3 && version >= 1 && version <= 4 ? PLAIN_REQUEST : OTHER_KIND;
}

/* Sent to this interface, not to all, and not seen in passing. */
static INLINE bool is_for_interface(const struct request *request, const struct xdp_settings *settings) {
  const uint16_t *to = (const uint16_t *)request->ethernet->destination;
  const uint16_t *own = (const uint16_t *)settings->mac;
  return to[0] == own[0] && to[1] == own[1] && to[2] == own[2];
}

static INLINE uint64_t sum_words(const void *from, int words) {
  const uint32_t *word = from;
  uint64_t sum = 0;
#pragma unroll
  for (int index = 0; index < UDP_WORDS; index++)
    if (index < words) sum += word[index];
  return sum;
}

/* The pseudo-header's sum, the same in both directions. */
static INLINE uint64_t sum_pseudo_header(const struct request *request) {
  uint64_t sum = htons(UDP_BYTES) + (uint64_t)htons(PROTOCOL_UDP);
  if (request->family == XDP_IPV4) return sum + request->ipv4->source + request->ipv4->destination;
  return sum + sum_words(request->ipv6->source, 8);
}

/*
 * Whether the request came as it was sent. A sender on this machine may leave its checksum to a device that never sees the packet: then the
 * pseudo-header's sum stands there.
 */
static INLINE enum checksum judge_checksum(const struct request *request) {
  if (request->family == XDP_IPV4 && fold(sum_words(request->ipv4, 5)) != 0xffff) return CHECKSUM_WRONG;
  uint16_t found = request->udp->checksum;
  if (found == 0) return request->family == XDP_IPV4 ? CHECKSUM_RIGHT : CHECKSUM_WRONG;
  uint64_t pseudo = sum_pseudo_header(request);
  if (fold(pseudo + sum_words(request->udp, UDP_WORDS)) == 0xffff) return CHECKSUM_RIGHT;
  return found == fold(pseudo) ? CHECKSUM_BY_DEVICE : CHECKSUM_WRONG;
}

/* Turns the ports round and writes the checksum, of which the pseudo-header's sum is left where a device completes it. */
static INLINE void write_udp(const struct request *request, uint64_t ntp_sum, bool by_device) {
  uint32_t *words = (uint32_t *)request->udp;
  uint32_t ports = words[0] >> 16 | words[0] << 16, length = htons(UDP_BYTES);
  uint16_t checksum = request->udp->checksum;
  if (!by_device) {
    checksum = (uint16_t)~fold(sum_pseudo_header(request) + ports + length + ntp_sum);
    if (checksum == 0) checksum = 0xffff;
  }
  words[0] = ports;
  words[1] = length | (uint32_t)checksum << 16;
}

/* Back to where it came from: as a socket's packet would leave, with the system's time to live and without ECN. */
static INLINE void turn_round(const struct request *request, const struct xdp_settings *settings) {
  uint16_t *to = (uint16_t *)request->ethernet->destination, *from = (uint16_t *)request->ethernet->source;
  for (int word = 0; word < 3; word++) {
    uint16_t own = to[word];
    to[word] = from[word];
    from[word] = own;
  }
  if (request->family == XDP_IPV4) {
    uint32_t *words = (uint32_t *)request->ipv4;
    uint32_t client = request->ipv4->source, server = request->ipv4->destination;
    const uint32_t first = 0x45 | (uint32_t)htons(sizeof(struct ipv4) + UDP_BYTES) << 16;
    const uint32_t second = (uint32_t)htons(DONT_FRAGMENT) << 16;
    uint32_t third = (settings->ipv4_ttl & 0xff) | PROTOCOL_UDP << 8;
    uint16_t checksum = (uint16_t)~fold((uint64_t)first + second + third + client + server);
    words[0] = first;
    words[1] = second;
    words[2] = third | (uint32_t)checksum << 16;
    words[3] = server;
    words[4] = client;
    return;
  }
  struct ipv6 *ip = request->ipv6;
  for (int word = 0; word < 4; word++) {
    uint32_t client = ip->source[word];
    ip->source[word] = ip->destination[word];
    ip->destination[word] = client;
  }
  ip->version_and_flow = htonl(0x60000000);
  ip->hop_limit = (uint8_t)settings->ipv6_hop_limit;
}

#endif
