/*
 * What the supervisor and the BPF program tell each other through maps. src/answer-layout.ts describes the same bytes to
 * TypeScript. Integers in the machine's order, but for addresses and ports, which stand as they do in packets.
 */
#ifndef MERIDIAN_XDP_ANSWER_H
#define MERIDIAN_XDP_ANSWER_H

#include <stdint.h>

enum xdp_family { XDP_IPV4 = 1, XDP_IPV6 = 2 };

/* libs/protocol/src/access/rate-limit.ts has the same laws. */
enum xdp_law { LAW_NONE, LAW_SCORE, LAW_HEADWAY, LAW_TOKENS };

/* Where requests are answered: as they stand in the packet. */
struct xdp_place_ipv4 {
  uint32_t address;
  uint16_t port;
  uint16_t vlan; /* 0: without a tag */
};

struct xdp_place_ipv6 {
  uint32_t address[4];
  uint16_t port;
  uint16_t vlan;
};

/* Places that are looked at before the maps of places: most nodes have no more. */
enum { XDP_NEAR_PLACES = 4 };

/* How requests are answered. Replaced whole; a packet that meets half of a change is judged by either half. */
struct xdp_settings {
  uint32_t answers;      /* 0: every packet passes to the sockets */
  uint32_t families;     /* of xdp_family: those whose strangers are answered here */
  uint32_t ntp_families; /* the same for packets from port 123 */
  uint32_t rules;        /* which of the two tries of rules holds; 2: there are no rules */
  uint32_t is_generic;   /* attached behind the driver, where checksums may be left to the device */
  uint32_t needs_fences; /* the processor lets loads overtake each other */
  uint32_t precision;    /* as it stands in a reply, 8 bits */
  int32_t minimum_poll;  /* log2 seconds */
  uint32_t ipv4_ttl;
  uint32_t ipv6_hop_limit;
  uint32_t law;    /* of xdp_law */
  uint32_t kisses; /* who is over the limit may be told so */
  uint32_t note_every; /* ns: without a law, requests are noted so far apart, and stand for those between; 0: none is */
  uint32_t leak;   /* tokens: of what is over the limit, so many in 2^32 are answered */
  uint32_t kod;    /* tokens: and of the rest, so many get a kiss */
  int32_t interval; /* tokens: log2 seconds in which one comes back */
  uint64_t increment; /* score: 1 / burst, 2^-32 */
  uint64_t average;   /* score: the limit, 2^-32; headway: log2 seconds; tokens: the burst, 2^-32 */
  uint64_t kiss_up_to; /* score: kisses are sent up to here, 2^-32 */
  uint64_t decay;      /* score: halvings a nanosecond, 2^-88 */
  uint64_t minimum;    /* headway: seconds between two packets */
  uint8_t ipv6_mask[16]; /* the bits of an IPv6 address that its record goes by */
  uint8_t mac[6];        /* of the interface */
  uint8_t reserved;
  uint8_t has_more_places; /* in the maps */
  struct xdp_place_ipv4 ipv4_places[XDP_NEAR_PLACES]; /* all zero: none */
  struct xdp_place_ipv6 ipv6_places[XDP_NEAR_PLACES];
};

/* The key of a rule: IPv4 as ::ffff:a.b.c.d. */
struct xdp_rule {
  uint32_t bits;
  uint32_t address[4];
};

/* What is known of a client. Its key is its address as four words, masked. */
struct xdp_client {
  uint64_t first; /* CLOCK_MONOTONIC, ns */
  uint64_t last;
  int64_t level; /* score, tokens: 2^-32; headway: seconds */
  uint32_t address[4];
  uint32_t count;
  uint32_t dropped;
  uint32_t kisses;
  uint16_t port;
  uint8_t version_and_mode;
  uint8_t is_over;
};

/* One for each processor, added up by who reads. */
struct xdp_counts {
  uint64_t served;
  uint64_t served_unsynchronised;
  uint64_t kissed;
  uint64_t limited;
  uint64_t old_version; /* of the answered, versions 1 to 3 */
  uint64_t versions[4]; /* requests that were answered or dropped here, by version less one */
  uint64_t passed_rule; /* requests that rules left to the sockets */
  uint64_t passed_kind; /* packets to a served place that are no plain request */
  uint64_t passed_damaged; /* a checksum that does not fit: the kernel counts it as well */
  uint64_t passed_clock; /* no whole line to answer by */
  uint64_t kiss_second; /* when kisses were counted from, ns, */
  uint64_t kiss_count;  /* and how many there were since */
  uint64_t noted;   /* when a request was noted last, ns, */
  uint64_t unnoted; /* and how many came since */
};

#endif
