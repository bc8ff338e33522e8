/*
 * A flood of NTP requests from addresses that nobody has: one packet each, in a mixed order, over and over. Nothing is received.
 *
 *     spoof --device NAME --hardware AA:BB:CC:DD:EE:FF --target 192.0.2.1 --port P --addresses N --seconds S [--rate R]
 *
 * Frames go out by a packet socket, past routes and queues, so that one core sends as fast as the cable takes them. Sources are the first
 * N addresses of 10.0.0.0/8. Without --rate it never waits. It ends after S seconds and prints one JSON object.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "requests.h"

enum { BATCH = 64, FRAME = sizeof(struct iphdr) + sizeof(struct udphdr) + PACKET };

static const char *device, *hardware, *target;
static double seconds = 1, rate;
static unsigned port, addresses = 1;

static unsigned char frames[BATCH][FRAME];
static struct iovec parts[BATCH];
static struct mmsghdr messages[BATCH];
static struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_halen = ETH_ALEN};

static void fail(const char *what) {
  fprintf(stderr, "spoof: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void usage(const char *message) {
  fprintf(stderr, "spoof: %s (see the head of spoof.c)\n", message);
  exit(2);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_options(int argc, char **argv) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const char *flag = argv[i], *value = argv[i + 1];
    if (!strcmp(flag, "--device")) device = value;
    else if (!strcmp(flag, "--hardware")) hardware = value;
    else if (!strcmp(flag, "--target")) target = value;
    else if (!strcmp(flag, "--port")) port = (unsigned)atoi(value);
    else if (!strcmp(flag, "--addresses")) addresses = (unsigned)atoi(value);
    else if (!strcmp(flag, "--seconds")) seconds = atof(value);
    else if (!strcmp(flag, "--rate")) rate = atof(value);
    else usage("unknown flag");
  }
  if (argc % 2 == 0 || !device || !hardware || !target || !port) usage("expected --device, --hardware, --target and --port, each with a value");
  if (seconds <= 0 || seconds > 600 || addresses < 1 || addresses > 1 << 24) usage("expected at most 600 seconds and 16777216 addresses");
}

static uint16_t checksum(const unsigned char *header) {
  uint32_t sum = 0;
  for (unsigned i = 0; i < sizeof(struct iphdr); i += 2) sum += (uint32_t)(header[i] << 8 | header[i + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return htons((uint16_t)~sum);
}

static void lay_out(void) {
  struct in_addr to;
  if (inet_pton(AF_INET, target, &to) != 1) usage("expected an IPv4 address after --target");
  /* RFC 5737: no network but a test's own has it. */
  if (ntohl(to.s_addr) >> 8 != 0xc00002) usage("refused: made-up addresses go to 192.0.2.0/24 alone");
  where.sll_ifindex = (int)if_nametoindex(device);
  where.sll_protocol = htons(ETH_P_IP);
  if (!where.sll_ifindex) fail("if_nametoindex");
  unsigned char *mac = where.sll_addr;
  if (sscanf(hardware, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6) usage("expected a hardware address");
  for (int i = 0; i < BATCH; i++) {
    struct iphdr ip = {.version = 4, .ihl = 5, .tot_len = htons(FRAME), .ttl = 64, .protocol = IPPROTO_UDP, .daddr = to.s_addr};
    /* Without a checksum, as UDP over IPv4 allows. */
    struct udphdr udp = {.source = htons(40000), .dest = htons((uint16_t)port), .len = htons(sizeof udp + PACKET)};
    memcpy(frames[i], &ip, sizeof ip);
    memcpy(frames[i] + sizeof ip, &udp, sizeof udp);
    parts[i] = (struct iovec){frames[i], FRAME};
    messages[i].msg_hdr = (struct msghdr){.msg_name = &where, .msg_namelen = sizeof where, .msg_iov = &parts[i], .msg_iovlen = 1};
  }
}

static void write_frame(unsigned char *frame, uint32_t number) {
  struct iphdr ip;
  memcpy(&ip, frame, sizeof ip);
  ip.saddr = htonl(0x0a000000 + (uint32_t)(number * 2654435761u) % addresses);
  ip.check = 0;
  memcpy(frame, &ip, sizeof ip);
  ip.check = checksum(frame);
  memcpy(frame, &ip, sizeof ip);
  write_request(frame + sizeof ip + sizeof(struct udphdr), KINDS, number, 0x4d657269u);
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  lay_out();
  int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1;
  if (fd < 0) fail("socket");
  if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) < 0) fail("PACKET_QDISC_BYPASS");
  uint64_t sent = 0, refused = 0;
  double begin = now(), elapsed = 0;
  for (; elapsed < seconds; elapsed = now() - begin) {
    if (rate > 0 && (double)sent >= rate * elapsed) {
      usleep(200);
      continue;
    }
    for (int i = 0; i < BATCH; i++) write_frame(frames[i], (uint32_t)(sent + (uint64_t)i));
    int taken = sendmmsg(fd, messages, BATCH, 0);
    if (taken > 0) sent += (uint64_t)taken;
    else refused++;
  }
  printf("{\"sent\":%llu,\"refused\":%llu,\"seconds\":%.3f}\n", (unsigned long long)sent, (unsigned long long)refused, elapsed);
  return 0;
}
