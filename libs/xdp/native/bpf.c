/*
 * bpf(2): maps, programs and links, as far as answering in the driver needs them. Descriptors are the caller's, closed on exec. What they are
 * for is src/bpf.ts's matter.
 */
#include "addon.h"

#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NAME_BYTES = 15, MOST_ARGUMENTS = 6, LOAD_TRIES = 16 };

static long bpf(int command, union bpf_attr *attributes) {
  return syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

/* The arguments of a call, all of them numbers from `first` on. */
static bool read_call(napi_env env, napi_callback_info info, size_t wanted, napi_value *arguments) {
  size_t count = wanted;
  return napi_get_cb_info(env, info, &count, arguments, NULL, NULL) == napi_ok && count >= wanted;
}

static bool numbers(napi_env env, const napi_value *arguments, size_t count, double *values) {
  for (size_t at = 0; at < count; at++)
    if (napi_get_value_double(env, arguments[at], &values[at]) != napi_ok || !(values[at] >= 0 && values[at] < 4294967296.0))
      return false;
  return true;
}

static void *octets(napi_env env, napi_value value, size_t *length) {
  napi_typedarray_type type;
  void *data;
  bool is_array = false;
  if (napi_is_typedarray(env, value, &is_array) != napi_ok || !is_array ||
      napi_get_typedarray_info(env, value, &type, length, &data, NULL, NULL) != napi_ok || type != napi_uint8_array)
    return NULL;
  return data;
}

static napi_value descriptor_or_throw(napi_env env, const char *what, long descriptor) {
  if (descriptor < 0) return throw_errno(env, what, errno), NULL;
  return give_descriptor(env, (int)descriptor);
}

static napi_value boolean(napi_env env, bool value) {
  napi_value result;
  return napi_get_boolean(env, value, &result) == napi_ok ? result : NULL;
}

/* bpfMapCreate(type, keyBytes, valueBytes, entries, flags, name) */
static napi_value map_create(napi_env env, napi_callback_info info) {
  napi_value arguments[MOST_ARGUMENTS];
  double values[5];
  union bpf_attr attributes = {0};
  if (!read_call(env, info, 6, arguments) || !numbers(env, arguments, 5, values) ||
      napi_get_value_string_utf8(env, arguments[5], attributes.map_name, NAME_BYTES + 1, NULL) != napi_ok)
    return throw_type(env, "bpfMapCreate expects five numbers and a name");
  attributes.map_type = (uint32_t)values[0];
  attributes.key_size = (uint32_t)values[1];
  attributes.value_size = (uint32_t)values[2];
  attributes.max_entries = (uint32_t)values[3];
  attributes.map_flags = (uint32_t)values[4];
  return descriptor_or_throw(env, "map", bpf(BPF_MAP_CREATE, &attributes));
}

/* bpfProgramLoad(instructions, license, flags, log): an XDP program. The verifier's words go to `log`, as far as they fit. */
static napi_value program_load(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  union bpf_attr attributes = {.prog_type = BPF_PROG_TYPE_XDP, .expected_attach_type = BPF_XDP};
  char license[64];
  double flags;
  size_t length, log_length = 0;
  if (!read_call(env, info, 4, arguments)) return throw_type(env, "bpfProgramLoad expects four arguments");
  void *instructions = octets(env, arguments[0], &length), *log = octets(env, arguments[3], &log_length);
  if (instructions == NULL || !numbers(env, &arguments[2], 1, &flags) ||
      napi_get_value_string_utf8(env, arguments[1], license, sizeof license, NULL) != napi_ok)
    return throw_type(env, "bpfProgramLoad expects instructions, a license, flags and room for a log");
  attributes.insns = (uintptr_t)instructions;
  attributes.insn_cnt = (uint32_t)(length / 8);
  attributes.license = (uintptr_t)license;
  attributes.prog_flags = (uint32_t)flags;
  memcpy(attributes.prog_name, "meridian", sizeof "meridian");
  if (log_length > 0) {
    attributes.log_buf = (uintptr_t)log;
    attributes.log_size = (uint32_t)log_length;
    attributes.log_level = 1;
  }
  /* The verifier gives up when a signal is pending, such as that of a profiler or of another thread's garbage collection. */
  long descriptor = -1;
  for (int tries = 0; tries < LOAD_TRIES; tries++) {
    descriptor = bpf(BPF_PROG_LOAD, &attributes);
    if (descriptor >= 0 || errno != EAGAIN) break;
  }
  return descriptor_or_throw(env, "program", descriptor);
}

/* bpfLinkXdp(program, interface, flags): the program runs there for as long as somebody holds this descriptor. */
static napi_value link_xdp(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  double values[3];
  union bpf_attr attributes = {0};
  if (!read_call(env, info, 3, arguments) || !numbers(env, arguments, 3, values))
    return throw_type(env, "bpfLinkXdp expects three numbers");
  attributes.link_create.prog_fd = (uint32_t)values[0];
  attributes.link_create.target_ifindex = (uint32_t)values[1];
  attributes.link_create.attach_type = BPF_XDP;
  attributes.link_create.flags = (uint32_t)values[2];
  return descriptor_or_throw(env, "link", bpf(BPF_LINK_CREATE, &attributes));
}

/* bpfLinkInterface(link): the number of the interface; 0 where the link has been taken from it. */
static napi_value link_interface(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  double descriptor;
  struct bpf_link_info found = {0};
  union bpf_attr attributes = {0};
  if (!read_call(env, info, 1, &argument) || !numbers(env, &argument, 1, &descriptor))
    return throw_type(env, "bpfLinkInterface expects a descriptor");
  attributes.info.bpf_fd = (uint32_t)descriptor;
  attributes.info.info = (uintptr_t)&found;
  attributes.info.info_len = sizeof found;
  if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes) < 0) return throw_errno(env, "link", errno), NULL;
  if (found.type != BPF_LINK_TYPE_XDP) return throw_errno(env, "link", EINVAL), NULL;
  return napi_create_uint32(env, found.xdp.ifindex, &result) == napi_ok ? result : NULL;
}

enum { MOST_PROCESSORS = 8192 }; /* that Linux can be built for */

/* What the kernel reads and writes of a key and a value: it asks for no length. False with errno where the descriptor is no map's. */
static bool map_sizes(double descriptor, size_t *key, size_t *value) {
  struct bpf_map_info found = {0};
  union bpf_attr attributes = {
      .info = {.bpf_fd = (uint32_t)descriptor, .info = (uintptr_t)&found, .info_len = sizeof found}};
  if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes) < 0) return false;
  *key = found.key_size;
  *value = found.value_size;
  if (found.type == BPF_MAP_TYPE_PERCPU_ARRAY || found.type == BPF_MAP_TYPE_PERCPU_HASH ||
      found.type == BPF_MAP_TYPE_LRU_PERCPU_HASH)
    *value = (found.value_size + 7) / 8 * 8 * (size_t)MOST_PROCESSORS;
  return found.key_size > 0 || (errno = EINVAL, false);
}

/* Octets that hold so many at least, or an exception. */
static void *octets_of(napi_env env, napi_value value, size_t least) {
  size_t length = 0;
  void *data = octets(env, value, &length);
  if (data != NULL && length >= least) return data;
  return throw_type(env, "expected a Uint8Array as long as the map's keys or values"), NULL;
}

/* bpfMapUpdate(map, key, value) */
static napi_value map_update(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  double descriptor;
  size_t key_bytes, value_bytes;
  union bpf_attr attributes = {0};
  if (!read_call(env, info, 3, arguments) || !numbers(env, arguments, 1, &descriptor))
    return throw_type(env, "bpfMapUpdate expects a descriptor, a key and a value");
  if (!map_sizes(descriptor, &key_bytes, &value_bytes)) return throw_errno(env, "map", errno), NULL;
  void *key = octets_of(env, arguments[1], key_bytes);
  void *value = key == NULL ? NULL : octets_of(env, arguments[2], value_bytes);
  if (value == NULL) return NULL;
  attributes.map_fd = (uint32_t)descriptor;
  attributes.key = (uintptr_t)key;
  attributes.value = (uintptr_t)value;
  if (bpf(BPF_MAP_UPDATE_ELEM, &attributes) < 0) throw_errno(env, "map", errno);
  return NULL;
}

/*
 * bpfMapLookup(map, key, value): false where there is none. Of a map with a value for each processor, as many of those, one behind the other, as fit.
 */
static napi_value map_lookup(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  double descriptor;
  size_t key_bytes, value_bytes, room = 0;
  union bpf_attr attributes = {0};
  if (!read_call(env, info, 3, arguments) || !numbers(env, arguments, 1, &descriptor))
    return throw_type(env, "bpfMapLookup expects a descriptor, a key and a value");
  if (!map_sizes(descriptor, &key_bytes, &value_bytes)) return throw_errno(env, "map", errno), NULL;
  void *key = octets_of(env, arguments[1], key_bytes);
  void *value = key == NULL ? NULL : octets(env, arguments[2], &room);
  if (value == NULL) return key == NULL ? NULL : throw_type(env, "bpfMapLookup expects room for a value");
  void *found = calloc(1, value_bytes);
  if (found == NULL) return throw_errno(env, "map", ENOMEM), NULL;
  attributes.map_fd = (uint32_t)descriptor;
  attributes.key = (uintptr_t)key;
  attributes.value = (uintptr_t)found;
  int error = bpf(BPF_MAP_LOOKUP_ELEM, &attributes) == 0 ? 0 : errno;
  if (error == 0) memcpy(value, found, room < value_bytes ? room : value_bytes);
  free(found);
  if (error == 0 || error == ENOENT) return boolean(env, error == 0);
  return throw_errno(env, "map", error), NULL;
}

/* bpfMapDelete(map, key): false where there is none. */
static napi_value map_delete(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  double descriptor;
  size_t key_bytes, value_bytes;
  union bpf_attr attributes = {0};
  if (!read_call(env, info, 2, arguments) || !numbers(env, arguments, 1, &descriptor))
    return throw_type(env, "bpfMapDelete expects a descriptor and a key");
  if (!map_sizes(descriptor, &key_bytes, &value_bytes)) return throw_errno(env, "map", errno), NULL;
  void *key = octets_of(env, arguments[1], key_bytes);
  if (key == NULL) return NULL;
  attributes.map_fd = (uint32_t)descriptor;
  attributes.key = (uintptr_t)key;
  if (bpf(BPF_MAP_DELETE_ELEM, &attributes) == 0) return boolean(env, true);
  if (errno == ENOENT) return boolean(env, false);
  return throw_errno(env, "map", errno), NULL;
}

/* bpfMapFirstKey(map, key): the first key of a map; false where it is empty. */
static napi_value map_first_key(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  double descriptor;
  size_t key_bytes, value_bytes;
  union bpf_attr attributes = {0};
  if (!read_call(env, info, 2, arguments) || !numbers(env, arguments, 1, &descriptor))
    return throw_type(env, "bpfMapFirstKey expects a descriptor and room for a key");
  if (!map_sizes(descriptor, &key_bytes, &value_bytes)) return throw_errno(env, "map", errno), NULL;
  void *next = octets_of(env, arguments[1], key_bytes);
  if (next == NULL) return NULL;
  attributes.map_fd = (uint32_t)descriptor;
  attributes.next_key = (uintptr_t)next;
  if (bpf(BPF_MAP_GET_NEXT_KEY, &attributes) == 0) return boolean(env, true);
  if (errno == ENOENT) return boolean(env, false);
  return throw_errno(env, "map", errno), NULL;
}

/* bpfMapRead(map, keys, values, entries): fills both with entries of a hash map, as many as there are or fit; returns how many. */
static napi_value map_read(napi_env env, napi_callback_info info) {
  napi_value arguments[4], result;
  double descriptor, entries;
  size_t key_bytes, value_bytes, done = 0;
  union bpf_attr attributes = {0};
  if (!read_call(env, info, 4, arguments) || !numbers(env, arguments, 1, &descriptor) ||
      !numbers(env, &arguments[3], 1, &entries) || entries < 1)
    return throw_type(env, "bpfMapRead expects a descriptor, room for keys and values, and how many");
  if (!map_sizes(descriptor, &key_bytes, &value_bytes)) return throw_errno(env, "map", errno), NULL;
  char *keys = octets_of(env, arguments[1], key_bytes * (size_t)entries);
  char *values = keys == NULL ? NULL : octets_of(env, arguments[2], value_bytes * (size_t)entries);
  if (values == NULL) return NULL;
  uint32_t place = 0, next = 0;
  long status = 0;
  while (status == 0 && done < (size_t)entries) {
    memset(&attributes, 0, sizeof attributes);
    attributes.batch.map_fd = (uint32_t)descriptor;
    attributes.batch.in_batch = done == 0 && place == 0 ? 0 : (uintptr_t)&place;
    attributes.batch.out_batch = (uintptr_t)&next;
    attributes.batch.keys = (uintptr_t)(keys + done * key_bytes);
    attributes.batch.values = (uintptr_t)(values + done * value_bytes);
    attributes.batch.count = (uint32_t)((size_t)entries - done);
    status = bpf(BPF_MAP_LOOKUP_BATCH, &attributes);
    /* ENOSPC: the next bucket does not fit any more. */
    if (status < 0 && errno != ENOENT && errno != ENOSPC) return throw_errno(env, "map", errno), NULL;
    done += attributes.batch.count;
    place = next;
  }
  return napi_create_uint32(env, (uint32_t)done, &result) == napi_ok ? result : NULL;
}

/* bpfTestRun(program, packet, out, repeat): runs it over a packet as if that had come; [verdict, length of what it left, ns a run]. */
static napi_value test_run(napi_env env, napi_callback_info info) {
  napi_value arguments[4], result, number;
  double descriptor, repeat;
  size_t length, room;
  union bpf_attr attributes = {0};
  if (!read_call(env, info, 4, arguments)) return throw_type(env, "bpfTestRun expects four arguments");
  void *packet = octets(env, arguments[1], &length), *out = octets(env, arguments[2], &room);
  if (packet == NULL || out == NULL || !numbers(env, arguments, 1, &descriptor) || !numbers(env, &arguments[3], 1, &repeat))
    return throw_type(env, "bpfTestRun expects a program, a packet, room for another, and how often");
  attributes.test.prog_fd = (uint32_t)descriptor;
  attributes.test.data_in = (uintptr_t)packet;
  attributes.test.data_size_in = (uint32_t)length;
  attributes.test.data_out = (uintptr_t)out;
  attributes.test.data_size_out = (uint32_t)room;
  attributes.test.repeat = (uint32_t)repeat;
  if (bpf(BPF_PROG_TEST_RUN, &attributes) < 0) return throw_errno(env, "program", errno), NULL;
  const uint32_t found[3] = {attributes.test.retval, attributes.test.data_size_out, attributes.test.duration};
  if (napi_create_array_with_length(env, 3, &result) != napi_ok) return NULL;
  for (uint32_t at = 0; at < 3; at++)
    if (napi_create_uint32(env, found[at], &number) == napi_ok) napi_set_element(env, result, at, number);
  return result;
}

/* interfaceNumber(name): 0 where there is none of this name. */
static napi_value interface_number(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  char name[IF_NAMESIZE + 1];
  size_t length;
  if (!read_call(env, info, 1, &argument) ||
      napi_get_value_string_utf8(env, argument, name, sizeof name, &length) != napi_ok)
    return throw_type(env, "interfaceNumber expects a name");
  uint32_t number = length < IF_NAMESIZE ? if_nametoindex(name) : 0;
  return napi_create_uint32(env, number, &result) == napi_ok ? result : NULL;
}

void register_bpf(napi_env env, napi_value exports) {
  export_function(env, exports, "bpfMapCreate", map_create);
  export_function(env, exports, "bpfProgramLoad", program_load);
  export_function(env, exports, "bpfLinkXdp", link_xdp);
  export_function(env, exports, "bpfLinkInterface", link_interface);
  export_function(env, exports, "bpfMapUpdate", map_update);
  export_function(env, exports, "bpfMapLookup", map_lookup);
  export_function(env, exports, "bpfMapDelete", map_delete);
  export_function(env, exports, "bpfMapFirstKey", map_first_key);
  export_function(env, exports, "bpfMapRead", map_read);
  export_function(env, exports, "bpfTestRun", test_run);
  export_function(env, exports, "interfaceNumber", interface_number);
}
