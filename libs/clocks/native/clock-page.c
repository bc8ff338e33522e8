/*
 * The clock page in JavaScript's hands: making it, mapping it, reading and writing its line. clock-page.h says what is on
 * it; src/clock-page.ts is what others call.
 */
#include "addon.h"
#include "clock-page-map.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(sizeof(struct clock_page) <= CLOCK_PAGE_BYTES, "the clock page is one page");
_Static_assert(sizeof(struct clock_line) % 8 == 0 && offsetof(struct clock_page, line) % 8 == 0, "copied by words");

enum { LINE_BYTES = sizeof(struct clock_line), MOMENT_NUMBERS = sizeof(struct served_moment) / 4 };

struct page_handle {
  struct clock_page *page; /* NULL once closed */
  bool writable;
};

/* Whether it is a BPF array map whose first value is a page that can be mapped: such maps never change their size. */
static bool is_page_of_map(int descriptor) {
  struct bpf_map_info found = {0};
  union bpf_attr attributes = {
      .info = {.bpf_fd = (uint32_t)descriptor, .info = (uintptr_t)&found, .info_len = sizeof found}};
  return syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attributes, sizeof attributes) == 0 &&
         found.type == BPF_MAP_TYPE_ARRAY && (found.map_flags & BPF_F_MMAPABLE) != 0 &&
         found.value_size >= CLOCK_PAGE_BYTES;
}

struct clock_page *clock_page_map(int descriptor, bool writable) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return NULL;
  /* Touching a mapping past the end of its file kills the process, so a short file is refused here. A BPF map has no size as a file. */
  if (status.st_size < CLOCK_PAGE_BYTES && !is_page_of_map(descriptor)) return errno = EINVAL, NULL;
  int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void *memory = mmap(NULL, CLOCK_PAGE_BYTES, protection, MAP_SHARED, descriptor, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

void clock_page_unmap(struct clock_page *page) {
  if (page != NULL) munmap(page, CLOCK_PAGE_BYTES);
}

static void unmap(struct page_handle *handle) {
  clock_page_unmap(handle->page);
  handle->page = NULL;
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  unmap(data);
  free(data);
}

/* Asked for by vm.memfd_noexec=2; kernels before 6.3 know nothing of it. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

/* Returns a descriptor that nobody can make shorter or longer, or -errno. */
static int make_page(void) {
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int descriptor = memfd_create("meridian-clock-page", flags | MFD_NOEXEC_SEAL);
  if (descriptor < 0 && errno == EINVAL) descriptor = memfd_create("meridian-clock-page", flags);
  if (descriptor < 0) return -errno;
  /* Whoever else may look at /proc/PID/fd opens it for reading at most. */
  if (fchmod(descriptor, 0644) == 0 && ftruncate(descriptor, CLOCK_PAGE_BYTES) == 0 &&
      fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
    return descriptor;
  int error = errno;
  close(descriptor);
  return -error;
}

/* makeClockPage(): the descriptor of an empty page, sealed in its size, closed on exec. */
static napi_value make_clock_page(napi_env env, napi_callback_info info) {
  (void)info;
  int descriptor = make_page();
  if (descriptor < 0) return throw_errno(env, "clock page", -descriptor), NULL;
  return give_descriptor(env, descriptor);
}

/* new ClockPage(descriptor, writable): maps the page. The descriptor stays the caller's and may be closed afterwards. */
static napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2], self;
  int32_t descriptor;
  bool writable;
  if (napi_get_cb_info(env, info, &count, arguments, &self, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, arguments[0], &descriptor) != napi_ok ||
      napi_get_value_bool(env, arguments[1], &writable) != napi_ok)
    return throw_type(env, "ClockPage expects a descriptor and a boolean");
  struct clock_page *page = clock_page_map(descriptor, writable);
  if (page == NULL) return throw_errno(env, "clock page", errno), NULL;
  struct page_handle *handle = malloc(sizeof *handle);
  if (handle == NULL) return clock_page_unmap(page), throw_errno(env, "clock page", ENOMEM), NULL;
  *handle = (struct page_handle){page, writable};
  if (napi_wrap(env, self, handle, finalize, NULL, NULL) != napi_ok) finalize(env, handle, NULL);
  return self;
}

/* write(Uint8Array): replaces the line. */
static napi_value write_line(napi_env env, napi_callback_info info) {
  napi_value argument;
  struct clock_line line;
  struct page_handle *handle = unwrap_call(env, info, 1, &argument, NULL);
  if (handle == NULL || handle->page == NULL || !handle->writable) return throw_errno(env, "clock page", EBADF), NULL;
  const char *source = typed_array(env, argument, napi_uint8_array, LINE_BYTES);
  if (source == NULL) return throw_type(env, "ClockPage.write expects a Uint8Array as long as a line");
  memcpy(&line, source, sizeof line);
  clock_page_write(handle->page, &line);
  return NULL;
}

/* read(Uint8Array): boolean. False if no untorn copy could be had in a bounded number of attempts. */
static napi_value read_line(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  struct clock_line line;
  struct page_handle *handle = unwrap_call(env, info, 1, &argument, NULL);
  if (handle == NULL || handle->page == NULL) return throw_errno(env, "clock page", EBADF), NULL;
  char *target = typed_array(env, argument, napi_uint8_array, LINE_BYTES);
  if (target == NULL) return throw_type(env, "ClockPage.read expects a Uint8Array as long as a line");
  bool whole = clock_page_read(handle->page, &line);
  if (whole) memcpy(target, &line, sizeof line);
  return napi_get_boolean(env, whole, &result) == napi_ok ? result : NULL;
}

static napi_value close_page(napi_env env, napi_callback_info info) {
  struct page_handle *handle = unwrap_call(env, info, 0, NULL, NULL);
  if (handle != NULL) unmap(handle);
  return NULL;
}

/* serveClockLine(line, monotonic, out): what a reply says at a reading of CLOCK_MONOTONIC, a bigint of nanoseconds. */
static napi_value serve_clock_line(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value arguments[3];
  uint64_t monotonic;
  bool lossless;
  struct clock_line line;
  struct served_moment moment;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  const char *source = typed_array(env, arguments[0], napi_uint8_array, LINE_BYTES);
  uint32_t *target = typed_array(env, arguments[2], napi_uint32_array, MOMENT_NUMBERS);
  if (source == NULL || target == NULL ||
      napi_get_value_bigint_uint64(env, arguments[1], &monotonic, &lossless) != napi_ok)
    return throw_type(env, "serveClockLine expects a Uint8Array as long as a line, a bigint and a Uint32Array of 10");
  memcpy(&line, source, sizeof line);
  clock_line_serve(&line, monotonic, &moment);
  memcpy(target, &moment, sizeof moment);
  return NULL;
}

/* Where each field lies, for TypeScript's description to be held against. */
static void export_layout(napi_env env, napi_value exports) {
  napi_value layout;
  if (napi_create_object(env, &layout) != napi_ok) return;
  set_number(env, layout, "layout", offsetof(struct clock_line, layout));
  set_number(env, layout, "leap", offsetof(struct clock_line, leap));
  set_number(env, layout, "stratum", offsetof(struct clock_line, stratum));
  set_number(env, layout, "referenceId", offsetof(struct clock_line, reference_id));
  set_number(env, layout, "baseMonotonic", offsetof(struct clock_line, base_monotonic));
  set_number(env, layout, "baseSeconds", offsetof(struct clock_line, base_seconds));
  set_number(env, layout, "baseFraction", offsetof(struct clock_line, base_fraction));
  set_number(env, layout, "referenceFraction", offsetof(struct clock_line, reference_fraction));
  set_number(env, layout, "referenceSeconds", offsetof(struct clock_line, reference_seconds));
  set_number(env, layout, "rate", offsetof(struct clock_line, rate));
  set_number(env, layout, "rootDelay", offsetof(struct clock_line, root_delay));
  set_number(env, layout, "rootDispersion", offsetof(struct clock_line, root_dispersion));
  set_number(env, layout, "dispersionRate", offsetof(struct clock_line, dispersion_rate));
  set_number(env, layout, "deadline", offsetof(struct clock_line, deadline));
  set_number(env, layout, "originSeconds", offsetof(struct clock_line, origin_seconds));
  set_number(env, layout, "originNanoseconds", offsetof(struct clock_line, origin_nanoseconds));
  set_number(env, layout, "bytes", sizeof(struct clock_line));
  set_number(env, layout, "lineAt", offsetof(struct clock_page, line));
  napi_set_named_property(env, exports, "clockLineLayout", layout);
}

void register_clock_page(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {
      {"write", NULL, write_line, NULL, NULL, NULL, napi_default_method, NULL},
      {"read", NULL, read_line, NULL, NULL, NULL, napi_default_method, NULL},
      {"close", NULL, close_page, NULL, NULL, NULL, napi_default_method, NULL},
  };
  export_class(env, exports, "ClockPage", construct, sizeof methods / sizeof *methods, methods);
  export_function(env, exports, "makeClockPage", make_clock_page);
  export_function(env, exports, "serveClockLine", serve_clock_line);
  export_layout(env, exports);
}
