/*
 * A load generator for NTP over UDP: many source addresses (ports of one, by IPv6), batches, every answer checked and matched to its request.
 *
 *     udpload --port P [--target 127.0.0.1] [--mode closed|open] [--outstanding N] [--rate R] [--seconds S] [--count N]
 *             [--sockets N] [--burst N] [--request v4|v3|keyed|mssntp|nts] [--pool FILE] [--record FILE] [--timeout-ms MS] [--unconnected] [--addresses N] [--from A]
 *
 * Closed loop: keeps N requests outstanding, so the server sets the pace. Open loop: sends R requests a second whatever
 * the server does. It ends after S seconds or N requests, whichever is first, waits for the last answers, and prints one
 * JSON object. The thread never sleeps: it is meant to have a core to itself.
 *
 * With --from all sockets have that IPv4 address, which keys of some requests are made of.
 * With --addresses each request comes from the next of so many addresses of 127.128.0.0/9, in a mixed order, whatever its socket.
 *
 * A request's transmit timestamp holds its number and a mix of that number with a random seed. The answer's origin is
 * checked against it and leads to the request's slot, so matching costs one array access. Keyed and NTS requests come from a
 * pool file (pool.h), over and over, and --record writes a sample of the replies. Latency is from the clock read
 * before a burst is sent to the kernel's stamp on the answer: the time an answer waits for this program is not in it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/random.h>
#include <unistd.h>
#include "histogram.h"
#include "pool.h"
#include "requests.h"

enum { SLOTS = 1 << 20, MOST_SOCKETS = 4096, BATCH = 64, CONTROL = 64, SCAN = 16 };
enum { UNUSED, WAITING, ANSWERED, LOST };

struct slot {
  uint64_t sent_at; /* CLOCK_REALTIME, ns */
  uint32_t number;
  uint16_t socket;
  uint8_t state;
};

struct options {
  const char *target, *pool, *record;
  int port, open_loop, outstanding, sockets, burst, unconnected;
  double rate, seconds;
  uint64_t count, timeout_ns;
  uint32_t addresses;
  const char *from;
  const struct kind *kind;
};

static struct options opt = {.target = "127.0.0.1", .outstanding = 192, .sockets = 512, .burst = 16, .seconds = 5, .count = UINT64_MAX, .timeout_ns = 500000000, .kind = KINDS};

static struct slot slots[SLOTS];
static uint32_t slot_mask = SLOTS - 1;
static struct pool pool;
static unsigned request_length = PACKET;
static int descriptors[MOST_SOCKETS], in_flight[MOST_SOCKETS];
static int queue[MOST_SOCKETS], queue_head, queued;      /* sockets with requests in flight, in turn */
static uint32_t next_number, oldest, seed;               /* numbers below `oldest` are settled */
static uint64_t sent, answered, lost, refused, faults[FAULTS], most_behind_ns;
static int waiting; /* requests that are neither answered nor given up */
static struct histogram latency;
static struct sockaddr_storage target;
static socklen_t target_length;
static volatile sig_atomic_t interrupted;

static unsigned char outgoing[BATCH][LARGEST_REPLY], incoming[BATCH][LARGEST_REPLY];
static union {
  struct cmsghdr align;
  unsigned char bytes[CONTROL];
} control[BATCH], origin[BATCH];
static struct sockaddr_storage sources[BATCH];
static struct iovec out_parts[BATCH], in_parts[BATCH];
static struct mmsghdr out[BATCH], in[BATCH];

static void usage(const char *message, const char *found) {
  fprintf(stderr, "udpload: %s%s%s\n", message, found ? ", found " : "", found ? found : "");
  exit(2);
}

static void fail(const char *what) {
  fprintf(stderr, "udpload: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void interrupt(int signal) {
  (void)signal;
  interrupted = 1;
}

static uint64_t clock_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double number(const char *flag, const char *text, double least, double most) {
  char *end;
  double value = text ? strtod(text, &end) : 0;
  if (text && *text && !*end && value >= least && value <= most) return value;
  fprintf(stderr, "udpload: expected a number from %.15g to %.15g after %s, found %s\n", least, most, flag, text ? text : "nothing");
  exit(2);
}

static void read_options(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const char *flag = argv[i], *value = argv[i + 1];
    if (!strcmp(flag, "--unconnected")) {
      opt.unconnected = 1;
      continue;
    }
    if (!value) usage("expected a known flag with a value", flag);
    if (!strcmp(flag, "--target")) opt.target = value;
    else if (!strcmp(flag, "--port")) opt.port = (int)number(flag, value, 1, 65535);
    else if (!strcmp(flag, "--outstanding")) opt.outstanding = (int)number(flag, value, 1, SLOTS / 4);
    else if (!strcmp(flag, "--rate")) opt.rate = number(flag, value, 1, 1e7);
    else if (!strcmp(flag, "--seconds")) opt.seconds = number(flag, value, 0.001, 3600);
    else if (!strcmp(flag, "--count")) opt.count = (uint64_t)number(flag, value, 1, 4e9);
    else if (!strcmp(flag, "--sockets")) opt.sockets = (int)number(flag, value, 1, MOST_SOCKETS);
    else if (!strcmp(flag, "--burst")) opt.burst = (int)number(flag, value, 1, BATCH);
    else if (!strcmp(flag, "--timeout-ms")) opt.timeout_ns = (uint64_t)(number(flag, value, 1, 60000) * 1e6);
    else if (!strcmp(flag, "--addresses")) opt.addresses = (uint32_t)number(flag, value, 1, 1 << 23), opt.unconnected = 1;
    else if (!strcmp(flag, "--from")) opt.from = value;
    else if (!strcmp(flag, "--pool")) opt.pool = value;
    else if (!strcmp(flag, "--record")) opt.record = value;
    else if (!strcmp(flag, "--mode")) {
      opt.open_loop = !strcmp(value, "open");
      if (!opt.open_loop && strcmp(value, "closed")) usage("expected --mode open or closed", value);
    } else if (!strcmp(flag, "--request")) {
      for (opt.kind = KINDS; opt.kind->name && strcmp(opt.kind->name, value); opt.kind++);
      if (!opt.kind->name) usage("expected --request v4, v3, keyed or nts", value);
    } else usage("expected a known flag (see the head of udpload.c)", flag);
    i++;
  }
  if (!opt.port) usage("expected --port", NULL);
  if (opt.addresses && strchr(opt.target, ':')) usage("expected an IPv4 --target with --addresses", opt.target);
  if (opt.open_loop && opt.rate == 0) usage("expected --rate with --mode open", NULL);
  if (!opt.pool != (opt.kind->trailer == NOTHING)) usage("expected --pool with --request keyed or nts, and with no other", NULL);
  if (opt.record && !opt.pool) usage("expected --record with --pool", NULL);
}

/* Only this machine may be loaded: the address must be in 127.0.0.0/8, be ::1, or in 192.0.2.0/24, which no network but a test's own has (RFC 5737). */
static void read_target(void) {
  struct sockaddr_in *four = (struct sockaddr_in *)&target;
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)&target;
  int loopback;
  if (inet_pton(AF_INET, opt.target, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons((uint16_t)opt.port);
    target_length = sizeof *four;
    loopback = ntohl(four->sin_addr.s_addr) >> 24 == 127 || ntohl(four->sin_addr.s_addr) >> 8 == 0xc00002;
  } else if (inet_pton(AF_INET6, opt.target, &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)opt.port);
    target_length = sizeof *six;
    loopback = IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
  } else usage("expected an IPv4 or IPv6 address after --target", opt.target);
  if (!loopback) usage("refused: this generator only loads a server on its own machine; expected an address in 127.0.0.0/8, 192.0.2.0/24 or ::1", opt.target);
}

/* Each request of a pool has its own slot; when its turn comes again, the answer to the last time is lost. */
static void take_pool(void) {
  if (!opt.pool) return;
  const char *problem = read_pool(opt.pool, &pool);
  if (problem) usage(problem, opt.pool);
  if ((uint32_t)opt.outstanding > pool.count / 4) usage("expected a pool of at least four times as many requests as --outstanding", opt.pool);
  slot_mask = pool.count - 1;
  request_length = pool.length;
}

/* An address of its own for each socket, other ones in each run: servers may tell clients apart by them. IPv6 has one loopback address. */
static void bind_source(int fd, uint32_t number) {
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010000 + (seed % 0xe00000) + number)};
  /* Beyond loopback the system chooses. */
  int beyond = ntohl(((struct sockaddr_in *)&target)->sin_addr.s_addr) >> 24 != 127;
  if (opt.addresses || beyond) own.sin_addr.s_addr = htonl(INADDR_ANY);
  if (opt.from && inet_pton(AF_INET, opt.from, &own.sin_addr) != 1) usage("expected an IPv4 address after --from", opt.from);
  if (target.ss_family == AF_INET && bind(fd, (struct sockaddr *)&own, sizeof own) < 0) fail("bind");
}

static void open_sockets(void) {
  int one = 1;
  for (int i = 0; i < opt.sockets; i++) {
    int fd = descriptors[i] = socket(target.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) < 0) fail("SO_TIMESTAMPNS");
    bind_source(fd, (uint32_t)i);
    if (!opt.unconnected && connect(fd, (struct sockaddr *)&target, target_length) < 0) fail("connect");
  }
  for (int i = 0; i < BATCH; i++) {
    out_parts[i] = (struct iovec){outgoing[i], request_length};
    out[i].msg_hdr = (struct msghdr){.msg_iov = &out_parts[i], .msg_iovlen = 1};
    if (opt.unconnected) out[i].msg_hdr.msg_name = &target, out[i].msg_hdr.msg_namelen = target_length;
    if (opt.addresses) {
      out[i].msg_hdr.msg_control = origin[i].bytes, out[i].msg_hdr.msg_controllen = CMSG_SPACE(sizeof(struct in_pktinfo));
      origin[i].align = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo)), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
    }
    in_parts[i] = (struct iovec){incoming[i], LARGEST_REPLY};
    in[i].msg_hdr = (struct msghdr){.msg_iov = &in_parts[i], .msg_iovlen = 1, .msg_control = control[i].bytes, .msg_controllen = CONTROL};
    if (opt.unconnected) in[i].msg_hdr.msg_name = &sources[i], in[i].msg_hdr.msg_namelen = sizeof sources[i];
  }
}

static void give_up(struct slot *slot) {
  slot->state = LOST;
  lost++;
  waiting--;
  in_flight[slot->socket]--;
}

/* Sends `wanted` requests from one socket. */
static void send_burst(int socket, int wanted) {
  for (int i = 0; i < wanted; i++) {
    uint32_t number = next_number + (uint32_t)i;
    if (opt.pool) out_parts[i].iov_base = pooled_request(&pool, number);
    else write_request(outgoing[i], opt.kind, number, seed);
    if (opt.addresses) {
      struct in_pktinfo from = {.ipi_spec_dst.s_addr = htonl(0x7f800000 + (uint32_t)(number * 2654435761u) % opt.addresses)};
      memcpy(CMSG_DATA(&origin[i].align), &from, sizeof from);
    }
  }
  uint64_t now = clock_ns(CLOCK_REALTIME);
  int taken = sendmmsg(descriptors[socket], out, (unsigned)wanted, MSG_DONTWAIT);
  if (taken < 0) {
    refused++;
    return;
  }
  for (int i = 0; i < taken; i++) {
    struct slot *slot = &slots[next_number & slot_mask];
    if (slot->state == WAITING) give_up(slot);
    *slot = (struct slot){now, next_number++, (uint16_t)socket, WAITING};
  }
  if (!in_flight[socket] && taken) queue[(queue_head + queued++) % MOST_SOCKETS] = socket;
  in_flight[socket] += taken;
  waiting += taken;
  sent += (uint64_t)taken;
}

static uint64_t arrival_ns(struct msghdr *header) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c))
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
      struct timespec t;
      memcpy(&t, CMSG_DATA(c), sizeof t);
      return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    }
  return clock_ns(CLOCK_REALTIME);
}

static int from_target(const struct sockaddr_storage *source) {
  if (!opt.unconnected) return 1;
  const struct sockaddr_in *a = (const void *)source, *b = (const void *)&target;
  const struct sockaddr_in6 *c = (const void *)source, *d = (const void *)&target;
  if (source->ss_family != target.ss_family) return 0;
  if (source->ss_family == AF_INET) return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
  return c->sin6_port == d->sin6_port && !memcmp(&c->sin6_addr, &d->sin6_addr, 16);
}

/* The slot of the request whose transmit timestamp the answer has as its origin; NULL when there is none. */
static struct slot *origin_slot(const unsigned char *answer) {
  uint32_t upper = get32(answer + AT_ORIGIN), lower = get32(answer + AT_ORIGIN + 4);
  struct slot *slot = &slots[upper & slot_mask];
  if (slot->state == UNUSED) return NULL;
  if (opt.pool) return upper <= slot_mask && lower == get32(pooled_request(&pool, upper) + AT_TRANSMIT + 4) ? slot : NULL;
  return slot->number == upper && lower == nonce(upper, seed) ? slot : NULL;
}

/* Judges one answer against the request it claims to answer and settles that request when the answer is good. */
static enum fault settle(int socket, int i) {
  const unsigned char *answer = incoming[i];
  unsigned length = in[i].msg_len;
  uint64_t arrived = arrival_ns(&in[i].msg_hdr);
  enum fault fault = judge_header(answer, length, request_length, opt.kind, (time_t)(arrived / 1000000000u));
  if (fault != FINE) return fault;
  struct slot *slot = origin_slot(answer);
  if (!slot) return ORIGIN;
  if (opt.pool && judge_trailer(answer, length, pooled_request(&pool, slot->number), request_length, opt.kind->trailer) != FINE) return TRAILER;
  if (slot->socket != socket || !from_target(&sources[i])) return SOURCE;
  if (slot->state == ANSWERED) return DUPLICATE;
  if (slot->state == LOST) return LATE;
  slot->state = ANSWERED;
  waiting--;
  in_flight[socket]--;
  if (opt.record) sample_reply(answered, slot->number & slot_mask, answer, length);
  answered++;
  record(&latency, arrived > slot->sent_at ? arrived - slot->sent_at : 0);
  return FINE;
}

static int receive_from(int socket) {
  int count = recvmmsg(descriptors[socket], in, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
  if (count < 0 && errno == ECONNREFUSED) refused++;
  for (int i = 0; i < count; i++) {
    faults[settle(socket, i)]++;
    in[i].msg_hdr.msg_controllen = CONTROL;
    if (opt.unconnected) in[i].msg_hdr.msg_namelen = sizeof sources[i];
  }
  return count;
}

/* Reads from the sockets that have waited longest, and gives up what is older than the timeout. */
static void receive_some(uint64_t now_realtime) {
  for (int turns = queued < SCAN ? queued : SCAN; turns > 0; turns--) {
    int socket = queue[queue_head];
    queue_head = (queue_head + 1) % MOST_SOCKETS;
    queued--;
    receive_from(socket);
    if (in_flight[socket]) queue[(queue_head + queued++) % MOST_SOCKETS] = socket;
  }
  for (int bound = 0; oldest != next_number && bound < 4096; oldest++, bound++) {
    struct slot *slot = &slots[oldest & slot_mask];
    if (slot->number != oldest || slot->state != WAITING) continue;
    if (now_realtime < slot->sent_at + opt.timeout_ns) break;
    give_up(slot);
  }
}

/* How many requests may go now: what the window has room for, or what the pace has earned. */
static int allowance(double elapsed) {
  uint64_t left = opt.count - sent;
  int room = opt.burst;
  if (opt.open_loop) {
    double due = opt.rate * elapsed - (double)sent;
    if (due < 1) return 0;
    uint64_t behind = (uint64_t)(due / opt.rate * 1e9);
    if (behind > most_behind_ns) most_behind_ns = behind;
    room = due < BATCH ? (int)due : BATCH;
  } else if (opt.outstanding - waiting < (opt.burst < opt.outstanding ? opt.burst : opt.outstanding)) return 0;
  else if (room > opt.outstanding) room = opt.outstanding;
  return (uint64_t)room < left ? room : (int)left;
}

/*
 * Reads from every socket until none has had anything for 50 ms, at most 100 times. Duplicates come to sockets that wait
 * for nothing, and a server that was flooded still works off its queue: if this program ended now, those answers would
 * reach the next run's sockets, which may get the same ports.
 */
static void linger(void) {
  int found = 1;
  for (int bound = 0; found && bound < 100; bound++) {
    found = 0;
    usleep(50000);
    for (int i = 0; i < opt.sockets; i++)
      for (int batch = 0; batch < 64 && receive_from(i) > 0; batch++) found = 1;
  }
}

static double run(void) {
  uint64_t begin = clock_ns(CLOCK_MONOTONIC), end = begin + (uint64_t)(opt.seconds * 1e9), now = begin;
  int socket = 0;
  while (now < end && sent < opt.count && !interrupted) {
    int wanted = allowance((double)(now - begin) / 1e9);
    if (wanted > 0) {
      send_burst(socket, wanted);
      socket = (socket + 1) % opt.sockets;
    }
    receive_some(clock_ns(CLOCK_REALTIME));
    now = clock_ns(CLOCK_MONOTONIC);
  }
  double elapsed = (double)(now - begin) / 1e9;
  for (uint64_t last = now + opt.timeout_ns + 1000000; waiting && now < last && !interrupted; now = clock_ns(CLOCK_MONOTONIC)) receive_some(clock_ns(CLOCK_REALTIME));
  lost += (uint64_t)waiting;
  linger();
  return elapsed;
}

static void report(double elapsed) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  uint64_t wrong = 0;
  for (int i = FINE + 1; i < FAULTS; i++) wrong += i == LATE ? 0 : faults[i]; /* a late answer is in `lost` already */
  printf("{\"target\":\"%s\",\"port\":%d,\"mode\":\"%s\",\"request\":\"%s\",\"sockets\":%d,\"seconds\":%.6f,", opt.target, opt.port, opt.open_loop ? "open" : "closed", opt.kind->name, opt.sockets, elapsed);
  printf("\"sent\":%llu,\"answered\":%llu,\"lost\":%llu,\"refused\":%llu,", (unsigned long long)sent, (unsigned long long)answered, (unsigned long long)lost, (unsigned long long)refused);
  printf("\"offeredPerSecond\":%.1f,\"answeredPerSecond\":%.1f,\"wrong\":%llu,\"faults\":{", (double)sent / elapsed, (double)answered / elapsed, (unsigned long long)wrong);
  for (int i = FINE + 1; i < FAULTS; i++) printf("%s\"%s\":%llu", i > FINE + 1 ? "," : "", FAULT_NAMES[i], (unsigned long long)faults[i]);
  printf("},\"latencyMicroseconds\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f},", (double)percentile(&latency, 0.5) / 1e3, (double)percentile(&latency, 0.9) / 1e3,
         (double)percentile(&latency, 0.99) / 1e3, (double)percentile(&latency, 0.999) / 1e3, (double)latency.max / 1e3);
  printf("\"mostBehindMicroseconds\":%.1f,\"generatorCpuSeconds\":%.3f}\n", (double)most_behind_ns / 1e3, cpu);
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  read_target();
  take_pool();
  signal(SIGINT, interrupt);
  signal(SIGTERM, interrupt);
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) fail("getrandom");
  next_number = oldest = nonce(seed, 0x4d657269u);
  open_sockets();
  report(run());
  if (opt.record && write_sample(opt.record)) fail("the sample of replies");
  return interrupted ? 130 : 0;
}
