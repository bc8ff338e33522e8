/*
 * Addresses of network devices, and a device of our own: a TUN whose link its holder raises and lowers without any privilege,
 * and which the kernel takes down when the last holder is gone. src/network-device.ts calls it.
 */
#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool device_name(napi_env env, napi_value argument, char *name) {
  size_t length;
  /* Asked for with a place to put it, a text that is too long is cut. */
  if (napi_get_value_string_utf8(env, argument, NULL, 0, &length) != napi_ok || length == 0 || length >= IFNAMSIZ)
    return false;
  return napi_get_value_string_utf8(env, argument, name, IFNAMSIZ, &length) == napi_ok;
}

/* openTunnel(name): its descriptor, with the link down; made where there is none, else its owner's to open. */
static napi_value open_tunnel(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  struct ifreq request = {0};
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (!device_name(env, argument, request.ifr_name)) return throw_type(env, "openTunnel expects a device's name");
  int descriptor = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return throw_errno(env, "/dev/net/tun", errno), NULL;
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  int off = 0;
  if (ioctl(descriptor, TUNSETIFF, &request) != 0 || ioctl(descriptor, TUNSETCARRIER, &off) != 0) {
    int error = errno;
    close(descriptor);
    return throw_errno(env, "the device", error), NULL;
  }
  return give_descriptor(env, descriptor);
}

/* setTunnelLink(descriptor, up) */
static napi_value set_tunnel_link(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  int32_t descriptor;
  bool up;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, arguments[0], &descriptor) != napi_ok ||
      napi_get_value_bool(env, arguments[1], &up) != napi_ok)
    return throw_type(env, "setTunnelLink expects a descriptor and whether the link is up");
  int carrier = up ? 1 : 0;
  if (ioctl(descriptor, TUNSETCARRIER, &carrier) != 0) throw_errno(env, "the device's link", errno);
  return NULL;
}

/* bringUp(name): administratively up, which needs CAP_NET_ADMIN unless it is so already. */
static napi_value bring_up(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  struct ifreq request = {0};
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (!device_name(env, argument, request.ifr_name)) return throw_type(env, "bringUp expects a device's name");
  int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (any < 0) return throw_errno(env, "a socket", errno), NULL;
  int failed = ioctl(any, SIOCGIFFLAGS, &request);
  if (failed == 0 && (request.ifr_flags & IFF_UP) == 0) {
    request.ifr_flags |= IFF_UP;
    failed = ioctl(any, SIOCSIFFLAGS, &request);
  }
  int error = errno;
  close(any);
  if (failed != 0) throw_errno(env, "the device", error);
  return NULL;
}

struct address_request {
  struct nlmsghdr header;
  struct ifaddrmsg message;
  char attributes[64];
};

static void attribute(struct address_request *request, unsigned short type, const void *data, size_t length) {
  struct rtattr *next = (struct rtattr *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));
  next->rta_type = type;
  next->rta_len = (unsigned short)RTA_LENGTH(length);
  memcpy(RTA_DATA(next), data, length);
  request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(next->rta_len);
}

/* The kernel's answer: 0 or an errno. */
static int ask_kernel(struct address_request *request) {
  int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (netlink < 0) return errno;
  struct {
    struct nlmsghdr header;
    struct nlmsgerr error;
    char rest[512];
  } answer;
  const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  int error = 0;
  ssize_t got = -1;
  if (sendto(netlink, request, request->header.nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof kernel) < 0)
    error = errno;
  else if ((got = recv(netlink, &answer, sizeof answer, 0)) < (ssize_t)NLMSG_LENGTH(sizeof answer.error.error))
    error = got < 0 ? errno : EPROTO;
  else
    error = answer.header.nlmsg_type == NLMSG_ERROR ? -answer.error.error : EPROTO;
  close(netlink);
  return error;
}

/* changeAddress(device, bytes, add): a host address, 4 or 16 bytes. */
static napi_value change_address(napi_env env, napi_callback_info info) {
  size_t count = 3, length = 0, offset = 0;
  napi_value arguments[3], buffer;
  napi_typedarray_type type;
  void *bytes;
  bool add, is_array = false;
  char name[IFNAMSIZ];
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  if (!device_name(env, arguments[0], name) || napi_is_typedarray(env, arguments[1], &is_array) != napi_ok ||
      !is_array ||
      napi_get_typedarray_info(env, arguments[1], &type, &length, &bytes, &buffer, &offset) != napi_ok ||
      type != napi_uint8_array || (length != 4 && length != 16) ||
      napi_get_value_bool(env, arguments[2], &add) != napi_ok)
    return throw_type(env, "changeAddress expects a device's name, an address of 4 or 16 bytes, and whether to add it");
  const unsigned index = if_nametoindex(name);
  if (index == 0) return throw_errno(env, "the device", ENODEV), NULL;
  struct address_request request = {
      .header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)),
                 .nlmsg_type = add ? RTM_NEWADDR : RTM_DELADDR,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_EXCL : 0)},
      .message = {.ifa_family = length == 4 ? AF_INET : AF_INET6,
                  .ifa_prefixlen = (unsigned char)(length * 8),
                  /* An anycast address is everywhere on purpose: nobody is asked whether it is taken. */
                  .ifa_flags = length == 16 ? IFA_F_NODAD : 0,
                  .ifa_index = index}};
  attribute(&request, IFA_LOCAL, bytes, length);
  attribute(&request, IFA_ADDRESS, bytes, length);
  const int error = ask_kernel(&request);
  if (error != 0) throw_errno(env, "the address", error);
  return NULL;
}

void register_network_device(napi_env env, napi_value exports) {
  export_function(env, exports, "openTunnel", open_tunnel);
  export_function(env, exports, "setTunnelLink", set_tunnel_link);
  export_function(env, exports, "bringUp", bring_up);
  export_function(env, exports, "changeAddress", change_address);
}
