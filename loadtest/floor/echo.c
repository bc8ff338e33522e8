/*
 * The floor: the least that an honest NTP server can do for a request on Linux, in C, on one thread.
 *
 *     echo ADDRESS PORT
 *
 * Waits in epoll, takes up to 64 datagrams with one recvmmsg, writes each reply over its request and sends them with one
 * sendmmsg. It does what a server must do to be usable (kernel receive stamps, replies that leave from the address that
 * was asked, the version echoed, wrong packets dropped) and nothing that it could leave out: no access list, no rate
 * limit, no counters, no client log, no clock model. Meridian and the peers are compared with its CPU time per reply.
 *
 * A batch shorter than 64 has emptied the queue, so the loop goes back to epoll without a recvmmsg that would only say
 * so. The clock is read once per batch, after it has been received.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, SLOT = 2048, PACKET = 48, CONTROL = 128 };

#define NTP_UNIX_OFFSET 2208988800u

enum { MODE_CLIENT = 3, MODE_SERVER = 4, STRATUM = 10, PRECISION = -25 };

/* Where each field of the header starts (RFC 5905 section 7.3). */
enum { AT_STRATUM = 1, AT_PRECISION = 3, AT_DELAY = 4, AT_DISPERSION = 8, AT_REFID = 12, AT_REFERENCE = 16, AT_ORIGIN = 24, AT_RECEIVE = 32, AT_TRANSMIT = 40 };

union control {
  struct cmsghdr align;
  unsigned char bytes[CONTROL];
};

static unsigned char packets[BATCH][SLOT + 64]; /* the odd 64 keeps headers out of one cache set */
static union control received[BATCH], answered[BATCH];
static struct sockaddr_storage clients[BATCH];
static struct iovec receive_parts[BATCH], send_parts[BATCH];
static struct mmsghdr requests[BATCH], replies[BATCH];

static void fail(const char *what) {
  fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void put32(unsigned char *at, uint32_t value) {
  value = htonl(value);
  memcpy(at, &value, 4);
}

static void put_time(unsigned char *at, const struct timespec *time) {
  put32(at, (uint32_t)((uint64_t)time->tv_sec + NTP_UNIX_OFFSET));
  put32(at + 4, (uint32_t)(((uint64_t)time->tv_nsec << 32) / 1000000000u));
}

static int open_socket(const char *address, int port) {
  struct sockaddr_in four;
  struct sockaddr_in6 six;
  int one = 1, wanted_buffer = 4 << 20, family;
  memset(&four, 0, sizeof four);
  memset(&six, 0, sizeof six);
  if (inet_pton(AF_INET, address, &four.sin_addr) == 1) {
    family = four.sin_family = AF_INET;
    four.sin_port = htons((uint16_t)port);
  } else if (inet_pton(AF_INET6, address, &six.sin6_addr) == 1) {
    family = six.sin6_family = AF_INET6;
    six.sin6_port = htons((uint16_t)port);
  } else {
    fprintf(stderr, "echo: expected an IPv4 or IPv6 address, found \"%s\"\n", address);
    exit(2);
  }
  int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0) fail("SO_REUSEPORT");
  if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) < 0) fail("SO_TIMESTAMPNS");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &wanted_buffer, sizeof wanted_buffer); /* as much as the kernel allows */
  if (family == AF_INET) {
    if (setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one) < 0) fail("IP_PKTINFO");
    if (bind(fd, (struct sockaddr *)&four, sizeof four) < 0) fail("bind");
  } else {
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) < 0) fail("IPV6_V6ONLY");
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one) < 0) fail("IPV6_RECVPKTINFO");
    if (bind(fd, (struct sockaddr *)&six, sizeof six) < 0) fail("bind");
  }
  return fd;
}

static void prepare(int i) {
  receive_parts[i].iov_base = packets[i];
  receive_parts[i].iov_len = SLOT;
  requests[i].msg_hdr.msg_iov = &receive_parts[i];
  requests[i].msg_hdr.msg_iovlen = 1;
  requests[i].msg_hdr.msg_name = &clients[i];
  requests[i].msg_hdr.msg_control = received[i].bytes;
}

/* The kernel shortened these to what it wrote; they must be whole again before the next recvmmsg. */
static void rearm(int i) {
  requests[i].msg_hdr.msg_namelen = sizeof clients[i];
  requests[i].msg_hdr.msg_controllen = CONTROL;
}

/* Reads the kernel's stamp, and writes the control message that sends reply `to` from the address that was asked. */
static void read_control(struct msghdr *request, struct timespec *arrival, int to) {
  struct msghdr *reply = &replies[to].msg_hdr;
  struct cmsghdr *out = &answered[to].align;
  reply->msg_controllen = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(request); c; c = CMSG_NXTHDR(request, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
      memcpy(arrival, CMSG_DATA(c), sizeof *arrival);
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      info.ipi_ifindex = 0; /* let routing choose the way out */
      info.ipi_spec_dst = info.ipi_addr;
      out->cmsg_level = IPPROTO_IP;
      out->cmsg_type = IP_PKTINFO;
      out->cmsg_len = CMSG_LEN(sizeof info);
      memcpy(CMSG_DATA(out), &info, sizeof info);
      reply->msg_controllen = CMSG_SPACE(sizeof info);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      struct in6_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) info.ipi6_ifindex = 0;
      out->cmsg_level = IPPROTO_IPV6;
      out->cmsg_type = IPV6_PKTINFO;
      out->cmsg_len = CMSG_LEN(sizeof info);
      memcpy(CMSG_DATA(out), &info, sizeof info);
      reply->msg_controllen = CMSG_SPACE(sizeof info);
    }
  }
  reply->msg_control = reply->msg_controllen ? out : NULL;
}

/* Writes the reply over the request. `now` is both the transmit and the reference time: the clock is the system's own. */
static void fill(unsigned char *p, int version, const struct timespec *arrival, const struct timespec *now) {
  p[0] = (unsigned char)(version << 3 | MODE_SERVER);
  p[AT_STRATUM] = STRATUM;
  p[AT_PRECISION] = (unsigned char)PRECISION; /* the byte between them, poll, is the client's */
  put32(p + AT_DELAY, 0);
  put32(p + AT_DISPERSION, 1);
  put32(p + AT_REFID, 0x7f7f0100);
  memcpy(p + AT_ORIGIN, p + AT_TRANSMIT, 8);
  put_time(p + AT_REFERENCE, now);
  put_time(p + AT_RECEIVE, arrival);
  put_time(p + AT_TRANSMIT, now);
}

/* Turns the first `count` requests into replies; returns how many are to be sent. */
static int answer(int count, const struct timespec *now) {
  int sending = 0;
  for (int i = 0; i < count; i++) {
    unsigned char *p = packets[i];
    int version = p[0] >> 3 & 7;
    if (requests[i].msg_len < PACKET || (p[0] & 7) != MODE_CLIENT || version < 1 || version > 4) continue;
    struct timespec arrival = *now;
    read_control(&requests[i].msg_hdr, &arrival, sending);
    fill(p, version, &arrival, now);
    send_parts[sending].iov_base = p;
    send_parts[sending].iov_len = PACKET;
    replies[sending].msg_hdr.msg_iov = &send_parts[sending];
    replies[sending].msg_hdr.msg_iovlen = 1;
    replies[sending].msg_hdr.msg_name = &clients[i];
    replies[sending].msg_hdr.msg_namelen = requests[i].msg_hdr.msg_namelen;
    sending++;
  }
  return sending;
}

int main(int argc, char **argv) {
  if (argc != 3 || atoi(argv[2]) < 1 || atoi(argv[2]) > 65535) {
    fprintf(stderr, "usage: echo ADDRESS PORT\n");
    return 2;
  }
  int fd = open_socket(argv[1], atoi(argv[2]));
  int poller = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event readable = {.events = EPOLLIN};
  if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &readable) < 0) fail("epoll");
  for (int i = 0; i < BATCH; i++) {
    prepare(i);
    rearm(i);
  }
  for (;;) {
    struct epoll_event event;
    if (epoll_wait(poller, &event, 1, -1) < 0 && errno != EINTR) fail("epoll_wait");
    int count;
    do {
      struct timespec now;
      count = recvmmsg(fd, requests, BATCH, MSG_DONTWAIT, NULL);
      if (count <= 0) break; /* EAGAIN, or an error of one client's address: nothing to answer */
      clock_gettime(CLOCK_REALTIME, &now);
      int sending = answer(count, &now);
      for (int sent = 0; sent < sending;) {
        int taken = sendmmsg(fd, replies + sent, (unsigned)(sending - sent), MSG_DONTWAIT);
        sent += taken > 0 ? taken : 1; /* the one that the kernel refused is dropped */
      }
      for (int i = 0; i < count; i++) rearm(i);
    } while (count == BATCH);
  }
}
