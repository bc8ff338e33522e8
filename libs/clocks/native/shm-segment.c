/*
 * The shared memory segment of a reference clock (driver 28 of ntpd, "SHM"): gpsd and others write struct shmTime under the
 * System V key 0x4e545030 + unit, and set `valid`; a reader takes the values and clears it. In mode 1 the writer counts up
 * before and after it writes, so a reader that sees the count change has torn values. What the values mean is not known
 * here: they are handed out as numbers.
 */
#include "addon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>

enum { KEY_BASE = 0x4e545030, HIGHEST_UNIT = 255, FIELDS = 11 };

/* As every 64-bit writer has it, and 32-bit ones with a time_t of 64 bits that is aligned to 8. */
struct shm_time_64 {
  int32_t mode, count;
  int64_t clock_seconds;
  int32_t clock_microseconds;
  int64_t receive_seconds __attribute__((aligned(8)));
  int32_t receive_microseconds, leap, precision, samples, valid;
  uint32_t clock_nanoseconds, receive_nanoseconds;
  /* Upper halves for writers with a time_t of 32 bits; not needed here. */
  uint32_t unused[8];
};

/* As writers with a time_t of 32 bits have it. `tops` holds the upper halves of the seconds, 0 from old writers. */
struct shm_time_32 {
  int32_t mode, count;
  uint32_t clock_seconds;
  int32_t clock_microseconds;
  uint32_t receive_seconds;
  int32_t receive_microseconds, leap, precision, samples, valid;
  uint32_t clock_nanoseconds, receive_nanoseconds;
  uint32_t tops[2];
  uint32_t unused[6];
};

_Static_assert(sizeof(struct shm_time_64) == 96, "the layout that 64-bit writers have");
_Static_assert(sizeof(struct shm_time_32) == 80, "the layout that 32-bit writers have");

struct segment {
  void *memory; /* NULL once closed */
  size_t size;
  key_t key;
  int id;
};

static void detach(struct segment *segment) {
  if (segment->memory != NULL) shmdt(segment->memory);
  segment->memory = NULL;
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  detach(data);
  free(data);
}

/* The segment's id, made as ntpd makes it where it is not there yet; negative errno. */
static int find_or_create(key_t key, bool is_private) {
  int id = shmget(key, 0, 0);
  if (id < 0 && errno == ENOENT)
    id = shmget(key, sizeof(struct shm_time_64), IPC_CREAT | (is_private ? 0600 : 0666));
  return id < 0 ? -errno : id;
}

/* new ShmSegment(unit, isPrivate): attaches. `size`, `owner` and `permissions` are there for the caller to judge. */
static napi_value construct(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2], self;
  uint32_t unit;
  bool is_private;
  struct shmid_ds status;
  if (napi_get_cb_info(env, info, &count, arguments, &self, NULL) != napi_ok) return NULL;
  if (napi_get_value_uint32(env, arguments[0], &unit) != napi_ok || unit > HIGHEST_UNIT ||
      napi_get_value_bool(env, arguments[1], &is_private) != napi_ok)
    return throw_type(env, "ShmSegment expects a unit from 0 to 255 and a boolean");
  key_t key = (key_t)(KEY_BASE + unit);
  int id = find_or_create(key, is_private);
  if (id < 0) return throw_errno(env, "shmget", -id), NULL;
  void *memory = shmat(id, NULL, 0);
  if (memory == (void *)-1) return throw_errno(env, "shmat", errno), NULL;
  if (shmctl(id, IPC_STAT, &status) != 0) {
    int error = errno;
    return shmdt(memory), throw_errno(env, "shmctl", error), NULL;
  }
  struct segment *segment = malloc(sizeof *segment);
  if (segment == NULL) return shmdt(memory), throw_errno(env, "shared memory segment", ENOMEM), NULL;
  *segment = (struct segment){memory, status.shm_segsz, key, id};
  if (napi_wrap(env, self, segment, finalize, NULL, NULL) != napi_ok) return finalize(env, segment, NULL), NULL;
  set_number(env, self, "size", (double)status.shm_segsz);
  set_number(env, self, "owner", (double)status.shm_perm.uid);
  set_number(env, self, "permissions", (double)(status.shm_perm.mode & 0777));
  return self;
}

#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

/*
 * One body for both layouts. The writer is another program, so every field is read exactly once. The count is read before
 * `valid`: a writer that starts anew after we saw `valid` has counted up by the second look.
 */
#define TAKE(time, clock_value, receive_value)                                                                           \
  do {                                                                                                                   \
    int32_t before = __atomic_load_n(&(time)->count, __ATOMIC_ACQUIRE);                                                  \
    if (__atomic_load_n(&(time)->valid, __ATOMIC_ACQUIRE) == 0) return NOTHING;                                          \
    const double values[FIELDS] = {LOAD((time)->mode),                                                                   \
                                   before,                                                                               \
                                   (clock_value),                                                                        \
                                   LOAD((time)->clock_microseconds),                                                     \
                                   LOAD((time)->clock_nanoseconds),                                                      \
                                   (receive_value),                                                                      \
                                   LOAD((time)->receive_microseconds),                                                   \
                                   LOAD((time)->receive_nanoseconds),                                                    \
                                   LOAD((time)->leap),                                                                   \
                                   LOAD((time)->precision),                                                              \
                                   LOAD((time)->samples)};                                                               \
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* no field is read after the second look at the count */                  \
    int32_t after = LOAD((time)->count);                                                                                 \
    __atomic_store_n(&(time)->valid, 0, __ATOMIC_RELEASE);                                                               \
    for (int field = 0; field < FIELDS; field++) out[field] = values[field];                                             \
    return values[0] == 1 && before != after ? TORN : TAKEN;                                                             \
  } while (0)

enum { NOTHING = 0, TAKEN = 1, TORN = 2 };

static int take_64(struct shm_time_64 *time, double *out) {
  TAKE(time, (double)LOAD(time->clock_seconds), (double)LOAD(time->receive_seconds));
}

static double wide(uint32_t low, uint32_t top) { return (double)(((uint64_t)top << 32) | low); }

static int take_32(struct shm_time_32 *time, double *out) {
  TAKE(time, wide(LOAD(time->clock_seconds), LOAD(time->tops[0])), wide(LOAD(time->receive_seconds), LOAD(time->tops[1])));
}

/*
 * take(Float64Array(11)): 0 nothing new, 1 values taken, 2 torn values. In order: mode, count; seconds, microseconds and
 * nanoseconds of the clock, the same of reception; leap, precision, number of samples.
 */
static napi_value take(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  struct segment *segment = unwrap_call(env, info, 1, &argument, NULL);
  if (segment == NULL || segment->memory == NULL) return throw_errno(env, "shared memory segment", EBADF), NULL;
  double *out = typed_array(env, argument, napi_float64_array, FIELDS);
  if (out == NULL) return throw_type(env, "ShmSegment.take expects a Float64Array of at least 11");
  int outcome;
  if (segment->size == sizeof(struct shm_time_64))
    outcome = take_64(segment->memory, out);
  else if (segment->size == sizeof(struct shm_time_32))
    outcome = take_32(segment->memory, out);
  else
    return throw_errno(env, "shared memory segment of a size that no layout has", EINVAL), NULL;
  return napi_create_int32(env, outcome, &result) == napi_ok ? result : NULL;
}

/* isCurrent(): whether the key still leads to this segment. A writer may have removed it and made another. */
static napi_value is_current(napi_env env, napi_callback_info info) {
  napi_value result;
  struct segment *segment = unwrap_call(env, info, 0, NULL, NULL);
  bool same = segment != NULL && segment->memory != NULL && shmget(segment->key, 0, 0) == segment->id;
  return napi_get_boolean(env, same, &result) == napi_ok ? result : NULL;
}

static napi_value close_segment(napi_env env, napi_callback_info info) {
  struct segment *segment = unwrap_call(env, info, 0, NULL, NULL);
  if (segment != NULL) detach(segment);
  return NULL;
}

void register_shm_segment(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {
      {"take", NULL, take, NULL, NULL, NULL, napi_default_method, NULL},
      {"isCurrent", NULL, is_current, NULL, NULL, NULL, napi_default_method, NULL},
      {"close", NULL, close_segment, NULL, NULL, NULL, napi_default_method, NULL},
  };
  export_class(env, exports, "ShmSegment", construct, sizeof methods / sizeof *methods, methods);
}
