/*
 * AEAD jobs for JavaScript: one call does a list of jobs, given as integers, on two byte buffers. The layout of a job is
 * that of libs/auth/src/aead.ts; formats of packets and cookies are not known here. No pointer outlives a call, so
 * buffers may be moved, resized or detached between calls. AES-CMAC, for symmetric keys, is beside it.
 */
#include "addon.h"
#include "aead-engine.h"
#include "transmit-stamp.h"

enum {
  JOB_FLAGS,
  JOB_AEAD,
  JOB_KEY_AT,
  JOB_NONCE_AT,
  JOB_NONCE_LENGTH,
  JOB_AD_AT,
  JOB_AD_LENGTH,
  JOB_PLAINTEXT_AT,
  JOB_PLAINTEXT_LENGTH,
  JOB_CIPHERTEXT_AT,
  JOB_STATUS,
  JOB_STAMP_AT,
  JOB_STRIDE
};
enum { SEAL = 1, PLAINTEXT_IN_SECRETS = 2, CHAINED = 4 };

/* What a run returns when it refuses a list: job · REASONS + reason. aead-native.ts has the words for each. */
enum { ACCEPTED = -1, REASONS = 16 };
enum { BAD_COUNT, BAD_AEAD, BAD_KEY, BAD_NONCE, BAD_AD, BAD_PLAINTEXT, BAD_CIPHERTEXT, BAD_OVERLAP, BAD_NONCE_LENGTH, BAD_STAMP };

/* The port's limit on nonces of SIV, whose own is the packet's length. */
enum { MAXIMUM_SIV_NONCE_BYTES = 64 };

typedef struct {
  int32_t *data;
  int32_t count;
  bytes packets;
  bytes secrets;
  double stamped_at;
} job_list;

static const aead_engine *engine;

static int within(bytes buffer, int32_t at, int64_t length) {
  return at >= 0 && length >= 0 && (uint64_t)at + (uint64_t)length <= buffer.length;
}

static size_t key_length_of(int32_t aead) {
  switch (aead) {
    case AEAD_SIV_CMAC_256: return 32;
    case AEAD_SIV_CMAC_384: return 48;
    case AEAD_SIV_CMAC_512: return 64;
    case AEAD_AES_128_GCM_SIV: return 16;
    default: return 0;
  }
}

static int is_nonce_length(int32_t aead, size_t length) {
  if (aead == AEAD_AES_128_GCM_SIV) return length == AEAD_GCM_SIV_NONCE_BYTES;
  return length >= 1 && length <= MAXIMUM_SIV_NONCE_BYTES;
}

/* ---- expanded keys, for the time of one call */

/*
 * Two, because jobs alternate between a master key and a client's. A key is found by its bytes, compared without a
 * branch on where they differ; which keys are equal is not a secret, cookies name their master key.
 */
enum { CACHED_KEYS = 2 };

typedef struct {
  aead_key expanded;
  uint8_t bytes[AEAD_MAXIMUM_KEY_BYTES];
  size_t length;
  int32_t aead;
} cached_key;

typedef struct {
  cached_key keys[CACHED_KEYS];
  int newest;
} key_cache;

static void start_keys(key_cache *cache) {
  cache->newest = 0;
  for (int index = 0; index < CACHED_KEYS; index += 1) cache->keys[index].length = 0;
}

static void wipe_keys(key_cache *cache) {
  for (int index = 0; index < CACHED_KEYS; index += 1)
    if (cache->keys[index].length != 0) aead_wipe(&cache->keys[index], sizeof cache->keys[index]);
}

/* `length` is a multiple of 8, as all lengths of keys are. */
static int same_bytes(const uint8_t *a, const uint8_t *b, size_t length) {
  uint64_t difference = 0;
  for (size_t at = 0; at < length; at += 8) {
    uint64_t one, other;
    __builtin_memcpy(&one, a + at, 8);
    __builtin_memcpy(&other, b + at, 8);
    difference |= one ^ other;
  }
  return difference == 0;
}

static const aead_key *expanded_key(key_cache *cache, int32_t aead, const uint8_t *key, size_t length) {
  for (int index = 0; index < CACHED_KEYS; index += 1) {
    cached_key *known = &cache->keys[index];
    if (known->length != length || known->aead != aead || !same_bytes(known->bytes, key, length)) continue;
    cache->newest = index;
    return &known->expanded;
  }
  cache->newest = (cache->newest + 1) % CACHED_KEYS;
  cached_key *fresh = &cache->keys[cache->newest];
  fresh->aead = aead;
  fresh->length = length;
  __builtin_memcpy(fresh->bytes, key, length);
  if (aead == AEAD_AES_128_GCM_SIV) engine->gcm_siv_expand(&fresh->expanded, key);
  else engine->siv_expand(&fresh->expanded, key, length);
  return &fresh->expanded;
}

/* ---- jobs */

typedef struct {
  int32_t aead;
  int32_t flags;
  const uint8_t *key;
  size_t key_length;
  /* The associated data and the nonce. */
  aead_string associated[2];
  aead_text text;
  uint8_t *stamp; /* NULL for none */
} checked_job;

/* Whether the plaintext lies apart from the ciphertext, or exactly where its encryption stands. */
static int is_apart_or_in_place(const checked_job *job) {
  const uint8_t *plaintext = job->text.plaintext, *ciphertext = job->text.ciphertext;
  const uint8_t *in_place = job->aead == AEAD_AES_128_GCM_SIV ? ciphertext : ciphertext + AEAD_TAG_BYTES;
  size_t length = job->text.plaintext_length;
  return length == 0 || plaintext == in_place || plaintext + length <= ciphertext ||
         ciphertext + length + AEAD_TAG_BYTES <= plaintext;
}

/* Reads and checks one job; touches nothing it names. */
static int read_job(const job_list *list, int32_t index, checked_job *job) {
  const int32_t *at = list->data + (size_t)index * JOB_STRIDE;
  job->flags = at[JOB_FLAGS];
  job->aead = at[JOB_AEAD];
  job->key_length = key_length_of(job->aead);
  bytes plaintexts = (job->flags & PLAINTEXT_IN_SECRETS) != 0 ? list->secrets : list->packets;
  int64_t plaintext_length = at[JOB_PLAINTEXT_LENGTH];
  if (job->key_length == 0) return BAD_AEAD;
  if (!within(list->secrets, at[JOB_KEY_AT], (int64_t)job->key_length)) return BAD_KEY;
  if (!within(list->packets, at[JOB_NONCE_AT], at[JOB_NONCE_LENGTH])) return BAD_NONCE;
  if (!within(list->packets, at[JOB_AD_AT], at[JOB_AD_LENGTH])) return BAD_AD;
  if (!within(plaintexts, at[JOB_PLAINTEXT_AT], plaintext_length)) return BAD_PLAINTEXT;
  if (!within(list->packets, at[JOB_CIPHERTEXT_AT], plaintext_length + AEAD_TAG_BYTES)) return BAD_CIPHERTEXT;
  job->key = list->secrets.data + at[JOB_KEY_AT];
  job->associated[0] = (aead_string){list->packets.data + at[JOB_AD_AT], (size_t)at[JOB_AD_LENGTH]};
  job->associated[1] = (aead_string){list->packets.data + at[JOB_NONCE_AT], (size_t)at[JOB_NONCE_LENGTH]};
  job->text = (aead_text){
    .associated = job->associated,
    .associated_count = 2,
    .plaintext = plaintexts.data + at[JOB_PLAINTEXT_AT],
    .plaintext_length = (size_t)plaintext_length,
    .ciphertext = list->packets.data + at[JOB_CIPHERTEXT_AT],
  };
  job->stamp = at[JOB_STAMP_AT] == 0 ? NULL : list->packets.data + at[JOB_STAMP_AT];
  if (job->stamp != NULL && !within(list->packets, at[JOB_STAMP_AT], STAMP_BYTES)) return BAD_STAMP;
  if (!is_apart_or_in_place(job)) return BAD_OVERLAP;
  if ((job->flags & SEAL) != 0 && !is_nonce_length(job->aead, job->associated[1].length)) return BAD_NONCE_LENGTH;
  return ACCEPTED;
}

static int do_job(const checked_job *job, key_cache *cache) {
  int is_seal = (job->flags & SEAL) != 0, is_gcm = job->aead == AEAD_AES_128_GCM_SIV;
  if (!is_nonce_length(job->aead, job->associated[1].length)) {
    __builtin_memset(job->text.plaintext, 0, job->text.plaintext_length);
    return 0;
  }
  const aead_key *key = expanded_key(cache, job->aead, job->key, job->key_length);
  if (!is_seal) return is_gcm ? engine->gcm_siv_open(key, &job->text) : engine->siv_open(key, &job->text);
  if (is_gcm) engine->gcm_siv_seal(key, &job->text);
  else engine->siv_seal(key, &job->text);
  return 1;
}

/* All jobs are checked before the first is done, so a refused list leaves every buffer as it was. */
static int32_t run_jobs(const job_list *list) {
  checked_job job;
  for (int32_t index = 0; index < list->count; index += 1) {
    int reason = read_job(list, index, &job);
    if (reason != ACCEPTED) return index * REASONS + reason;
  }
  key_cache cache;
  start_keys(&cache);
  int succeeded = 1;
  for (int32_t index = 0; index < list->count; index += 1) {
    int reason = read_job(list, index, &job);
    if (reason != ACCEPTED) break;
    int is_skipped = (job.flags & CHAINED) != 0 && !succeeded;
    if (job.stamp != NULL && !is_skipped) move_stamp(job.stamp, units_since(list->stamped_at));
    succeeded = !is_skipped && do_job(&job, &cache);
    list->data[(size_t)index * JOB_STRIDE + JOB_STATUS] = succeeded;
    if (job.stamp != NULL && succeeded) reply_is_sealed(job.stamp);
  }
  wipe_keys(&cache);
  return ACCEPTED;
}

/* ---- Node-API */

/* aeadRun(jobs: Int32Array, count, packets: Uint8Array, secrets: Uint8Array, stampedAt): -1, or which job is refused and why. */
static napi_value aead_run(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value arguments[5], result;
  job_list list;
  bytes jobs;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  if (!read_array(env, arguments[0], napi_int32_array, &jobs) ||
      napi_get_value_int32(env, arguments[1], &list.count) != napi_ok ||
      !read_array(env, arguments[2], napi_uint8_array, &list.packets) ||
      !read_array(env, arguments[3], napi_uint8_array, &list.secrets) ||
      napi_get_value_double(env, arguments[4], &list.stamped_at) != napi_ok)
    return throw_type(env, "aeadRun expects an Int32Array, a count, two Uint8Arrays and a number");
  list.data = (int32_t *)(void *)jobs.data;
  int fits = list.count >= 0 && (uint64_t)list.count * JOB_STRIDE <= jobs.length;
  return napi_create_int32(env, fits ? run_jobs(&list) : BAD_COUNT, &result) == napi_ok ? result : NULL;
}

/* cmac(key, bytes, offset, length, out): writes 16 bytes at the start of out; false when a length or offset is wrong. */
static napi_value cmac(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value arguments[5], result;
  bytes key, message, out;
  int32_t at, length;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  if (!read_array(env, arguments[0], napi_uint8_array, &key) ||
      !read_array(env, arguments[1], napi_uint8_array, &message) ||
      napi_get_value_int32(env, arguments[2], &at) != napi_ok ||
      napi_get_value_int32(env, arguments[3], &length) != napi_ok ||
      !read_array(env, arguments[4], napi_uint8_array, &out))
    return throw_type(env, "cmac expects two Uint8Arrays, an offset, a length and a Uint8Array");
  int able = (key.length == 16 || key.length == 24 || key.length == 32) && within(message, at, length) &&
             out.length >= AEAD_TAG_BYTES;
  if (able) {
    aead_key expanded;
    engine->cmac_expand(&expanded, key.data, key.length);
    engine->cmac(&expanded, message.data + at, (size_t)length, out.data);
    aead_wipe(&expanded, sizeof expanded);
  }
  return napi_get_boolean(env, able, &result) == napi_ok ? result : NULL;
}

/* Adds aeadEngine (a name), aeadRun and cmac; nothing where the processor has no AES instructions. */
void register_aead(napi_env env, napi_value exports) {
  napi_value name;
  engine = aead_engine_here();
  if (engine == NULL || napi_create_string_utf8(env, engine->name, NAPI_AUTO_LENGTH, &name) != napi_ok) return;
  if (napi_set_named_property(env, exports, "aeadEngine", name) != napi_ok) return;
  export_function(env, exports, "aeadRun", aead_run);
  export_function(env, exports, "cmac", cmac);
}
