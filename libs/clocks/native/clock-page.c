/*
 * A page of memory shared between one writer and many readers, guarded by a sequence lock: the sequence is odd while the
 * writer is at work, and a reader keeps what it copied only if the sequence was even and the same before and after.
 * What the payload means is not known here; src/clock-page.ts names its fields.
 */
#include "addon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { PAGE_BYTES = 4096, PAYLOAD_BYTES = 256, PAYLOAD_WORDS = PAYLOAD_BYTES / 8, SEQUENCE_OFFSET = 256, READ_ATTEMPTS = 64 };

struct clock_page {
  uint64_t *payload; /* NULL once closed */
  uint32_t *sequence;
  bool writable;
};

static void unmap(struct clock_page *page) {
  if (page->payload != NULL) munmap(page->payload, PAGE_BYTES);
  page->payload = NULL;
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  unmap(data);
  free(data);
}

/* new ClockPage(descriptor, writable): maps the page. The descriptor stays the caller's and may be closed afterwards. */
static napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2], self;
  int32_t descriptor;
  bool writable;
  struct stat status;
  if (napi_get_cb_info(env, info, &count, arguments, &self, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, arguments[0], &descriptor) != napi_ok ||
      napi_get_value_bool(env, arguments[1], &writable) != napi_ok)
    return throw_type(env, "ClockPage expects a descriptor and a boolean");
  if (fstat(descriptor, &status) != 0) return throw_errno(env, "clock page", errno), NULL;
  /* Touching a mapping past the end of its file kills the process, so a short file is refused here. */
  if (status.st_size < PAGE_BYTES) return throw_errno(env, "clock page is shorter than 4096 bytes", EINVAL), NULL;
  void *memory = mmap(NULL, PAGE_BYTES, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED) return throw_errno(env, "clock page", errno), NULL;
  struct clock_page *page = malloc(sizeof *page);
  if (page == NULL) return munmap(memory, PAGE_BYTES), throw_errno(env, "clock page", ENOMEM), NULL;
  *page = (struct clock_page){memory, (uint32_t *)((char *)memory + SEQUENCE_OFFSET), writable};
  if (napi_wrap(env, self, page, finalize, NULL, NULL) != napi_ok) finalize(env, page, NULL);
  return self;
}

/* write(Uint8Array(256)): replaces the payload. A sequence left odd by a writer that died is taken over. */
static napi_value write_payload(napi_env env, napi_callback_info info) {
  napi_value argument;
  struct clock_page *page = unwrap_call(env, info, 1, &argument, NULL);
  if (page == NULL || page->payload == NULL || !page->writable) return throw_errno(env, "clock page", EBADF), NULL;
  const char *source = typed_array(env, argument, napi_uint8_array, PAYLOAD_BYTES);
  if (source == NULL) return throw_type(env, "ClockPage.write expects a Uint8Array of 256 bytes");
  uint64_t words[PAYLOAD_WORDS];
  memcpy(words, source, sizeof words);
  uint32_t odd = __atomic_load_n(page->sequence, __ATOMIC_RELAXED) | 1u;
  __atomic_store_n(page->sequence, odd, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE); /* the odd sequence is seen before any word of the payload */
  for (int word = 0; word < PAYLOAD_WORDS; word++) __atomic_store_n(&page->payload[word], words[word], __ATOMIC_RELAXED);
  __atomic_store_n(page->sequence, odd + 1u, __ATOMIC_RELEASE);
  return NULL;
}

/* read(Uint8Array(256)): boolean. False if no untorn copy could be had in a bounded number of attempts. */
static napi_value read_payload(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  bool whole = false;
  struct clock_page *page = unwrap_call(env, info, 1, &argument, NULL);
  if (page == NULL || page->payload == NULL) return throw_errno(env, "clock page", EBADF), NULL;
  char *target = typed_array(env, argument, napi_uint8_array, PAYLOAD_BYTES);
  if (target == NULL) return throw_type(env, "ClockPage.read expects a Uint8Array of 256 bytes");
  uint64_t words[PAYLOAD_WORDS];
  for (int attempt = 0; attempt < READ_ATTEMPTS && !whole; attempt++) {
    uint32_t before = __atomic_load_n(page->sequence, __ATOMIC_ACQUIRE);
    if (before & 1u) continue;
    for (int word = 0; word < PAYLOAD_WORDS; word++) words[word] = __atomic_load_n(&page->payload[word], __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* no word is read after the second look at the sequence */
    whole = __atomic_load_n(page->sequence, __ATOMIC_RELAXED) == before;
  }
  if (whole) memcpy(target, words, sizeof words);
  return napi_get_boolean(env, whole, &result) == napi_ok ? result : NULL;
}

static napi_value close_page(napi_env env, napi_callback_info info) {
  struct clock_page *page = unwrap_call(env, info, 0, NULL, NULL);
  if (page != NULL) unmap(page);
  return NULL;
}

void register_clock_page(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {
      {"write", NULL, write_payload, NULL, NULL, NULL, napi_default_method, NULL},
      {"read", NULL, read_payload, NULL, NULL, NULL, napi_default_method, NULL},
      {"close", NULL, close_page, NULL, NULL, NULL, napi_default_method, NULL},
  };
  export_class(env, exports, "ClockPage", construct, sizeof methods / sizeof *methods, methods);
}
