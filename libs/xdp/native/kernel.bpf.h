/*
 * What the kernel gives a BPF program, as far as this one uses it (linux/bpf.h): written down here so that it compiles without
 * any header of the system's. Numbers are part of the kernel's interface and do not change.
 */
#ifndef MERIDIAN_XDP_KERNEL_H
#define MERIDIAN_XDP_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#define SECTION(name) __attribute__((section(name), used))
#define INLINE inline __attribute__((always_inline))

enum { XDP_DROP = 1, XDP_PASS = 2, XDP_TX = 3 };
enum {
  BPF_MAP_TYPE_HASH = 1,
  BPF_MAP_TYPE_ARRAY = 2,
  BPF_MAP_TYPE_PERCPU_ARRAY = 6,
  BPF_MAP_TYPE_LRU_HASH = 9,
  BPF_MAP_TYPE_LPM_TRIE = 11
};
enum { BPF_ANY = 0, BPF_F_NO_PREALLOC = 1, BPF_F_MMAPABLE = 1 << 10 };

struct xdp_md {
  uint32_t data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

/* Read by src/bpf-object.ts, which makes the maps and puts their descriptors where the program names them. */
struct map_definition {
  uint32_t type, key_bytes, value_bytes, entries, flags;
};
#define MAP(name, type, key_bytes, value_bytes, entries, flags) \
  SECTION("maps") struct map_definition name = {type, key_bytes, value_bytes, entries, flags}

static void *(*const bpf_map_lookup_elem)(const void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(const void *map, const void *key, const void *value, uint64_t flags) = (void *)2;
static uint64_t (*const bpf_ktime_get_ns)(void) = (void *)5;
static uint32_t (*const bpf_get_prandom_u32)(void) = (void *)7;

/* The BPF target is little-endian, as every machine that Meridian has an addon for. */
static INLINE uint16_t htons(uint16_t value) { return __builtin_bswap16(value); }
static INLINE uint32_t htonl(uint32_t value) { return __builtin_bswap32(value); }

/* No load behind it is done before one in front of it: a value-returning atomic operation orders all (LKMM). */
static INLINE void fence(void) {
  uint64_t own = 0;
  __sync_fetch_and_add(&own, 1);
}

#endif
