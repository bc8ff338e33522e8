/* Which socket of an SO_REUSEPORT group a datagram goes to: a classic BPF program that packet-steering.ts writes. */
#include "addon.h"

#include <errno.h>
#include <linux/filter.h>
#include <sys/socket.h>

/*
 * attachReuseportProgram(descriptor, Uint8Array): has every datagram to the group of this socket go to the one whose number the
 * program returns, in the order of bind. It holds for the group, whoever has its sockets, until another takes its place.
 */
static napi_value attach_reuseport_program(napi_env env, napi_callback_info info) {
  size_t count = 2, length;
  napi_value arguments[2];
  int32_t descriptor;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  struct sock_filter *instructions = typed_array(env, arguments[1], napi_uint8_array, sizeof *instructions);
  if (napi_get_value_int32(env, arguments[0], &descriptor) != napi_ok || instructions == NULL ||
      napi_get_typedarray_info(env, arguments[1], NULL, &length, NULL, NULL, NULL) != napi_ok)
    return throw_type(env, "attachReuseportProgram expects a descriptor and a Uint8Array of instructions");
  if (length > BPF_MAXINSNS * sizeof *instructions) return throw_errno(env, "reuseport program", E2BIG), NULL;
  struct sock_fprog program = {.len = (unsigned short)(length / sizeof *instructions), .filter = instructions};
  if (setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) != 0)
    return throw_errno(env, "reuseport program", errno), NULL;
  return NULL;
}

void register_packet_steering(napi_env env, napi_value exports) {
  export_function(env, exports, "attachReuseportProgram", attach_reuseport_program);
}
