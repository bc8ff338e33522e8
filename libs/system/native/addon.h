/* What the parts of the addon have in common: Node-API calls that throw on failure, and how each part is registered. */
#ifndef MERIDIAN_ADDON_H
#define MERIDIAN_ADDON_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each part adds its functions and classes to `exports`. */
void register_udp(napi_env env, napi_value exports);
void register_udp_client(napi_env env, napi_value exports);
void register_packet_steering(napi_env env, napi_value exports);
void register_packet_loop(napi_env env, napi_value exports);
void register_unix_datagram(napi_env env, napi_value exports);
void register_tcp(napi_env env, napi_value exports);
void register_tls(napi_env env, napi_value exports);
void register_certificate_chain(napi_env env, napi_value exports);
void register_clock(napi_env env, napi_value exports);
void register_clock_page(napi_env env, napi_value exports);
void register_environment(napi_env env, napi_value exports);
void register_memory(napi_env env, napi_value exports);
void register_process_image(napi_env env, napi_value exports);
void register_shared_memory(napi_env env, napi_value exports);
void register_turn_count(napi_env env, napi_value exports);
void register_clock_watch(napi_env env, napi_value exports);
void register_service_manager(napi_env env, napi_value exports);
void register_digests(napi_env env, napi_value exports);
void register_mac_keys(napi_env env, napi_value exports);
void register_session_macs(napi_env env, napi_value exports);
void register_rsa(napi_env env, napi_value exports);
void register_shm_segment(napi_env env, napi_value exports);
void register_clock_socket(napi_env env, napi_value exports);
void register_clock_devices(napi_env env, napi_value exports);
void register_kernel_clock(napi_env env, napi_value exports);
void register_capabilities(napi_env env, napi_value exports);
void register_network_device(napi_env env, napi_value exports);
void register_bpf(napi_env env, napi_value exports);
void register_network(napi_env env, napi_value exports);
void register_aead(napi_env env, napi_value exports);

/* Throws an Error whose message is `what` and the kernel's words, and whose `code` is the errno's name (EADDRINUSE, …). */
void throw_errno(napi_env env, const char *what, int error);

/* Throws a TypeError. Always returns NULL, so that a method can `return throw_type(...)`. */
napi_value throw_type(napi_env env, const char *message);

/* Adds a named function to an object. */
void export_function(napi_env env, napi_value exports, const char *name, napi_callback function);

/* Adds a class with `count` methods. */
void export_class(napi_env env, napi_value exports, const char *name, napi_callback constructor, size_t count,
                  const napi_property_descriptor *methods);

/* The number of a descriptor for whoever called; one that cannot be given is closed. */
napi_value give_descriptor(napi_env env, int descriptor);

/* Sets a number property. */
void set_number(napi_env env, napi_value object, const char *name, double value);

/* Reads up to `wanted` arguments and `this`; missing ones are undefined. Returns the object `this` wraps, or NULL. */
void *unwrap_call(napi_env env, napi_callback_info info, size_t wanted, napi_value *arguments, napi_value *this_value);

typedef struct {
  uint8_t *data;
  size_t length;
} bytes;

/* The memory of a typed array argument; false if it is none of that type. An empty or detached one has an address all the same. */
bool read_array(napi_env env, napi_value value, napi_typedarray_type type, bytes *array);

/* The bytes of a Uint8Array or Float64Array argument, NULL if it is not one of that type or is shorter than `least`. */
void *typed_array(napi_env env, napi_value value, napi_typedarray_type type, size_t least);

#endif
