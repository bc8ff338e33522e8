/* The addon's entry. Built for one version of Node (uv.h is not part of Node-API's promise): native.ts checks it. */
#include "addon.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

void throw_errno(napi_env env, const char *what, int error) {
  char message[160];
  snprintf(message, sizeof message, "%s: %s", what, strerror(error));
  napi_throw_error(env, uv_err_name(uv_translate_sys_error(error)), message);
}

napi_value throw_type(napi_env env, const char *message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return NULL;
}

void export_function(napi_env env, napi_value exports, const char *name, napi_callback function) {
  napi_value value;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, function, NULL, &value) != napi_ok) return;
  napi_set_named_property(env, exports, name, value);
}

void export_class(napi_env env, napi_value exports, const char *name, napi_callback constructor, size_t count,
                  const napi_property_descriptor *methods) {
  napi_value value;
  if (napi_define_class(env, name, NAPI_AUTO_LENGTH, constructor, NULL, count, methods, &value) != napi_ok) return;
  napi_set_named_property(env, exports, name, value);
}

napi_value give_descriptor(napi_env env, int descriptor) {
  napi_value number;
  if (napi_create_int32(env, descriptor, &number) == napi_ok) return number;
  return close(descriptor), NULL;
}

void set_number(napi_env env, napi_value object, const char *name, double value) {
  napi_value number;
  if (napi_create_double(env, value, &number) != napi_ok) return;
  napi_set_named_property(env, object, name, number);
}

void *unwrap_call(napi_env env, napi_callback_info info, size_t wanted, napi_value *arguments, napi_value *this_value) {
  napi_value self;
  void *wrapped = NULL;
  size_t count = wanted;
  if (napi_get_cb_info(env, info, &count, arguments, &self, NULL) != napi_ok) return NULL;
  if (this_value != NULL) *this_value = self;
  if (napi_unwrap(env, self, &wrapped) != napi_ok) return NULL;
  return wrapped;
}

void *typed_array(napi_env env, napi_value value, napi_typedarray_type type, size_t least) {
  bool is_typed_array = false;
  napi_typedarray_type found;
  size_t length;
  void *data;
  if (napi_is_typedarray(env, value, &is_typed_array) != napi_ok || !is_typed_array) return NULL;
  if (napi_get_typedarray_info(env, value, &found, &length, &data, NULL, NULL) != napi_ok) return NULL;
  return found == type && length >= least ? data : NULL;
}

bool read_array(napi_env env, napi_value value, napi_typedarray_type type, bytes *array) {
  static uint8_t nothing[8];
  napi_typedarray_type found;
  void *data;
  if (napi_get_typedarray_info(env, value, &found, &array->length, &data, NULL, NULL) != napi_ok) return false;
  array->data = data == NULL ? nothing : data;
  if (data == NULL) array->length = 0;
  return found == type;
}

NAPI_MODULE_INIT() {
  napi_value version;
  if (napi_create_string_utf8(env, MERIDIAN_NODE_VERSION, NAPI_AUTO_LENGTH, &version) == napi_ok)
    napi_set_named_property(env, exports, "nodeVersion", version);
  register_udp(env, exports);
  register_udp_client(env, exports);
  register_packet_steering(env, exports);
  register_packet_loop(env, exports);
  register_unix_datagram(env, exports);
  register_tcp(env, exports);
  register_tls(env, exports);
  register_certificate_chain(env, exports);
  register_clock(env, exports);
  register_clock_page(env, exports);
  register_environment(env, exports);
  register_memory(env, exports);
  register_process_image(env, exports);
  register_shared_memory(env, exports);
  register_turn_count(env, exports);
  register_clock_watch(env, exports);
  register_service_manager(env, exports);
  register_digests(env, exports);
  register_mac_keys(env, exports);
  register_session_macs(env, exports);
  register_rsa(env, exports);
  register_shm_segment(env, exports);
  register_clock_socket(env, exports);
  register_clock_devices(env, exports);
  register_kernel_clock(env, exports);
  register_capabilities(env, exports);
  register_network_device(env, exports);
  register_bpf(env, exports);
  register_network(env, exports);
#ifdef HAVE_AEAD
  register_aead(env, exports);
#endif
  return exports;
}
