/*
 * MacKeys: symmetric keys prepared for use, and lists of MACs done with them in one call. The layout of a job is that of
 * libs/auth/src/mac-batch.ts; formats of packets are not known here. AES keys are expanded once, MD5 runs in lanes, other
 * digests are OpenSSL's. Keys are in memory of this file's own and wiped when they are replaced or let go of.
 */
#include "addon.h"
#include "aead-engine.h"
#include "md5.h"
#include "transmit-stamp.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum { JOB_FLAGS, JOB_KEY, JOB_MESSAGE_AT, JOB_MESSAGE_LENGTH, JOB_DIGEST_AT, JOB_DIGEST_LENGTH, JOB_STAMP_AT, JOB_STATUS, JOB_STRIDE };
enum { SEAL = 1 };

/* What a run returns when it refuses a list: job · REASONS + reason. macs-native.ts has the words for each, job-refused.ts the factor. */
enum { ACCEPTED = -1, REASONS = 16 };
enum { BAD_COUNT, BAD_KEY, BAD_MESSAGE, BAD_DIGEST, BAD_STAMP };

enum { LONGEST_NAME = 32, LONGEST_SECRET = MD5_LONGEST_KEY, LONGEST_JOINED = 96, MAXIMUM_ALGORITHMS = 32, FIRST_KEYS = 16 };

/* An algorithm is looked up once and its context used for every call: both cost more than the digest of a packet. */
typedef struct {
  char name[LONGEST_NAME];
  EVP_MD *digest;
  EVP_MD_CTX *context;
} algorithm;

typedef enum { CMAC, MD5, DIGEST } kind;

typedef struct {
  kind kind;
  size_t digest_bytes;
  /* CMAC */
  aead_key *expanded;
  /* MD5 and DIGEST */
  uint8_t secret[LONGEST_SECRET];
  size_t secret_length;
  const algorithm *algorithm;
} mac_key;

typedef struct {
  const aead_engine *engine;
  mac_key *keys;
  size_t count;
  size_t capacity;
  algorithm algorithms[MAXIMUM_ALGORITHMS];
  size_t algorithm_count;
} mac_keys;

typedef struct {
  int32_t *data;
  int32_t count;
  bytes packets;
  double stamped_at;
} job_list;

/* ---- keys */

static void wipe_keys(mac_keys *keys) {
  for (size_t index = 0; index < keys->count; index++) {
    if (keys->keys[index].expanded == NULL) continue;
    aead_wipe(keys->keys[index].expanded, sizeof(aead_key));
    free(keys->keys[index].expanded);
  }
  if (keys->keys != NULL) aead_wipe(keys->keys, keys->count * sizeof *keys->keys);
  keys->count = 0;
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  mac_keys *keys = data;
  wipe_keys(keys);
  free(keys->keys);
  for (size_t index = 0; index < keys->algorithm_count; index++) {
    EVP_MD_CTX_free(keys->algorithms[index].context);
    EVP_MD_free(keys->algorithms[index].digest);
  }
  free(keys);
}

/* The algorithm of this name, NULL where this OpenSSL does not have or allow it. */
static const algorithm *find_algorithm(mac_keys *keys, const char *name) {
  for (size_t index = 0; index < keys->algorithm_count; index++)
    if (strcmp(keys->algorithms[index].name, name) == 0) return &keys->algorithms[index];
  if (keys->algorithm_count == MAXIMUM_ALGORITHMS) return NULL;
  algorithm *opened = &keys->algorithms[keys->algorithm_count];
  opened->digest = EVP_MD_fetch(NULL, name, NULL);
  opened->context = EVP_MD_CTX_new();
  if (opened->digest == NULL || opened->context == NULL ||
      EVP_DigestInit_ex2(opened->context, opened->digest, NULL) != 1) {
    EVP_MD_CTX_free(opened->context);
    EVP_MD_free(opened->digest);
    return NULL;
  }
  strcpy(opened->name, name);
  keys->algorithm_count++;
  return opened;
}

/* Room for one more key. The old array is wiped, as realloc would not. */
static bool make_room(mac_keys *keys) {
  if (keys->count < keys->capacity) return true;
  size_t capacity = keys->capacity == 0 ? FIRST_KEYS : 2 * keys->capacity;
  mac_key *moved = calloc(capacity, sizeof *moved);
  if (moved == NULL) return false;
  if (keys->keys != NULL) {
    memcpy(moved, keys->keys, keys->count * sizeof *moved);
    aead_wipe(keys->keys, keys->count * sizeof *moved);
    free(keys->keys);
  }
  keys->keys = moved;
  keys->capacity = capacity;
  return true;
}

static bool prepare_cmac(mac_keys *keys, mac_key *key, bytes secret) {
  if (keys->engine == NULL || (secret.length != 16 && secret.length != 24 && secret.length != 32)) return false;
  key->expanded = aligned_alloc(_Alignof(aead_key), sizeof(aead_key));
  if (key->expanded == NULL) return false;
  key->kind = CMAC;
  key->digest_bytes = AEAD_TAG_BYTES;
  keys->engine->cmac_expand(key->expanded, secret.data, secret.length);
  return true;
}

static bool prepare_digest(mac_keys *keys, mac_key *key, const char *name, bytes secret) {
  key->algorithm = find_algorithm(keys, name);
  if (key->algorithm == NULL || secret.length == 0 || secret.length > LONGEST_SECRET) return false;
  key->kind = strcmp(name, "md5") == 0 ? MD5 : DIGEST;
  key->digest_bytes = (size_t)EVP_MD_get_size(key->algorithm->digest);
  memcpy(key->secret, secret.data, secret.length);
  key->secret_length = secret.length;
  return true;
}

/* ---- jobs */

typedef struct {
  const mac_key *key;
  bool is_seal;
  const uint8_t *message;
  size_t message_length;
  uint8_t *digest;
  size_t digest_length;
  uint8_t *stamp; /* NULL for none */
  int32_t *status;
} checked_job;

static bool within(bytes buffer, int32_t at, int32_t length) {
  return at >= 0 && length >= 0 && (uint64_t)at + (uint64_t)length <= buffer.length;
}

/* Reads and checks one job; touches nothing it names. */
static int read_job(const mac_keys *keys, const job_list *list, int32_t index, checked_job *job) {
  int32_t *at = list->data + (size_t)index * JOB_STRIDE;
  if (at[JOB_KEY] < 0 || (size_t)at[JOB_KEY] >= keys->count) return BAD_KEY;
  const mac_key *key = &keys->keys[at[JOB_KEY]];
  if (!within(list->packets, at[JOB_MESSAGE_AT], at[JOB_MESSAGE_LENGTH])) return BAD_MESSAGE;
  if (!within(list->packets, at[JOB_DIGEST_AT], at[JOB_DIGEST_LENGTH]) || at[JOB_DIGEST_LENGTH] == 0 ||
      (size_t)at[JOB_DIGEST_LENGTH] > key->digest_bytes)
    return BAD_DIGEST;
  if (at[JOB_STAMP_AT] != 0 && !within(list->packets, at[JOB_STAMP_AT], STAMP_BYTES)) return BAD_STAMP;
  *job = (checked_job){
      .key = key,
      .is_seal = (at[JOB_FLAGS] & SEAL) != 0,
      .message = list->packets.data + at[JOB_MESSAGE_AT],
      .message_length = (size_t)at[JOB_MESSAGE_LENGTH],
      .digest = list->packets.data + at[JOB_DIGEST_AT],
      .digest_length = (size_t)at[JOB_DIGEST_LENGTH],
      .stamp = at[JOB_STAMP_AT] == 0 ? NULL : list->packets.data + at[JOB_STAMP_AT],
      .status = at + JOB_STATUS,
  };
  return ACCEPTED;
}

/* Writes the digest, or compares it without a branch on where it differs. */
static void settle(const checked_job *job, const uint8_t *digest) {
  uint8_t difference = 0;
  if (job->is_seal) memcpy(job->digest, digest, job->digest_length);
  else
    for (size_t at = 0; at < job->digest_length; at++) difference |= job->digest[at] ^ digest[at];
  *job->status = difference == 0;
}

/* One call with key and packet side by side costs OpenSSL less than two. */
static bool openssl_digest(const mac_key *key, const checked_job *job, uint8_t digest[EVP_MAX_MD_SIZE]) {
  EVP_MD_CTX *context = key->algorithm->context;
  uint8_t joined[LONGEST_SECRET + LONGEST_JOINED];
  size_t together = job->message_length < LONGEST_JOINED ? job->message_length : LONGEST_JOINED;
  memcpy(joined, key->secret, LONGEST_SECRET);
  memcpy(joined + key->secret_length, job->message, together);
  bool done = EVP_DigestInit_ex2(context, NULL, NULL) == 1 &&
              EVP_DigestUpdate(context, joined, key->secret_length + together) == 1 &&
              EVP_DigestUpdate(context, job->message + together, job->message_length - together) == 1 &&
              EVP_DigestFinal_ex(context, digest, NULL) == 1;
  aead_wipe(joined, LONGEST_SECRET);
  return done;
}

static void do_alone(const mac_keys *keys, const checked_job *job) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  *job->status = 0;
  if (job->key->kind == CMAC) keys->engine->cmac(job->key->expanded, job->message, job->message_length, digest);
  else if (!openssl_digest(job->key, job, digest)) return;
  settle(job, digest);
}

/* So many jobs share the lanes of MD5, and a reading of the clock; in lists of up to FEW_JOBS only those that are not sent at once. */
enum { GROUP = MD5_LANES, FEW_JOBS = 12 };

/* In lanes a digest costs less, and each waits for seven others. */
static bool takes_lane(const checked_job *job, bool are_few) {
  return job->key->kind == MD5 && job->message_length <= MD5_LONGEST_MESSAGE &&
         (job->stamp == NULL || send_sealed_reply == NULL || !are_few);
}

static void done(const checked_job *job) {
  if (job->stamp != NULL && *job->status != 0) reply_is_sealed(job->stamp);
}

/* What takes no lane: stamped, done and sent one by one. The others are left in `lanes`. */
static size_t do_singly(const mac_keys *keys, const checked_job *jobs, int32_t count, double stamped_at, bool are_few,
                        const checked_job **lanes) {
  size_t left = 0;
  /* Those that leave when all of a batch are sealed lose nothing by a reading of the clock that they share. */
  bool shares_reading = send_sealed_reply == NULL && jobs[0].stamp != NULL;
  uint64_t shared = shares_reading ? units_since(stamped_at) : 0;
  for (int32_t index = 0; index < count; index++) {
    const checked_job *job = &jobs[index];
    if (takes_lane(job, are_few)) {
      lanes[left++] = job;
      continue;
    }
    if (job->stamp != NULL) move_stamp(job->stamp, shares_reading ? shared : units_since(stamped_at));
    do_alone(keys, job);
    done(job);
  }
  return left;
}

static void do_group(const mac_keys *keys, const checked_job *jobs, int32_t count, double stamped_at, bool are_few,
                     md5_group *lanes) {
  const checked_job *in_lane[MD5_LANES];
  size_t left = do_singly(keys, jobs, count, stamped_at, are_few, in_lane);
  if (left == 0) return;
  uint64_t units = units_since(stamped_at);
  lanes->count = 0;
  for (size_t lane = 0; lane < left; lane++) {
    const checked_job *job = in_lane[lane];
    /* Stamps first: they are part of the messages. */
    if (job->stamp != NULL) move_stamp(job->stamp, units);
    md5_add(lanes, job->key->secret, job->key->secret_length, job->message, job->message_length);
  }
  md5_run(lanes);
  for (size_t lane = 0; lane < left; lane++) {
    settle(in_lane[lane], lanes->digests[lane]);
    done(in_lane[lane]);
  }
  aead_wipe(lanes->texts, lanes->count * sizeof lanes->texts[0]);
}

/* All jobs are checked before the first is done, so a refused list leaves every buffer as it was. */
static int32_t run_jobs(const mac_keys *keys, const job_list *list) {
  checked_job jobs[GROUP];
  md5_group lanes;
  for (int32_t index = 0; index < list->count; index++) {
    int reason = read_job(keys, list, index, &jobs[0]);
    if (reason != ACCEPTED) return index * REASONS + reason;
  }
  for (int32_t start = 0; start < list->count; start += GROUP) {
    int32_t count = list->count - start < GROUP ? list->count - start : GROUP;
    for (int32_t index = 0; index < count; index++)
      if (read_job(keys, list, start + index, &jobs[index]) != ACCEPTED) return ACCEPTED;
    do_group(keys, jobs, count, list->stamped_at, list->count <= FEW_JOBS, &lanes);
  }
  return ACCEPTED;
}

/* ---- Node-API */

static napi_value construct(napi_env env, napi_callback_info info) {
  napi_value self;
  if (napi_get_cb_info(env, info, NULL, NULL, &self, NULL) != napi_ok) return NULL;
  mac_keys *keys = calloc(1, sizeof *keys);
  if (keys == NULL) return NULL;
  keys->engine = aead_engine_here();
  if (napi_wrap(env, self, keys, finalize, NULL, NULL) != napi_ok) return free(keys), NULL;
  return self;
}

/*
 * add(name, secret): prepares a key, whose number is how many were added before; false where it cannot be one of the
 * algorithm, or this OpenSSL or processor does not have that. The name is "cmac" or a digest's.
 */
static napi_value add(napi_env env, napi_callback_info info) {
  napi_value arguments[2], result;
  char name[LONGEST_NAME];
  size_t length;
  bytes secret;
  mac_keys *keys = unwrap_call(env, info, 2, arguments, NULL);
  if (keys == NULL) return NULL;
  if (napi_get_value_string_latin1(env, arguments[0], name, sizeof name, &length) != napi_ok ||
      !read_array(env, arguments[1], napi_uint8_array, &secret))
    return throw_type(env, "add expects the name of an algorithm and a Uint8Array");
  mac_key key = {0};
  bool added = make_room(keys) && (strcmp(name, "cmac") == 0 ? prepare_cmac(keys, &key, secret)
                                                             : prepare_digest(keys, &key, name, secret));
  if (added) keys->keys[keys->count++] = key;
  aead_wipe(&key, sizeof key);
  return napi_get_boolean(env, added, &result) == napi_ok ? result : NULL;
}

/* run(jobs: Int32Array, count, packets: Uint8Array, stampedAt): -1, or which job is refused and why. */
static napi_value run(napi_env env, napi_callback_info info) {
  napi_value arguments[4], result;
  job_list list;
  bytes jobs;
  mac_keys *keys = unwrap_call(env, info, 4, arguments, NULL);
  if (keys == NULL) return NULL;
  if (!read_array(env, arguments[0], napi_int32_array, &jobs) ||
      napi_get_value_int32(env, arguments[1], &list.count) != napi_ok ||
      !read_array(env, arguments[2], napi_uint8_array, &list.packets) ||
      napi_get_value_double(env, arguments[3], &list.stamped_at) != napi_ok)
    return throw_type(env, "run expects an Int32Array, a count, a Uint8Array and a number");
  list.data = (int32_t *)(void *)jobs.data;
  bool fits = list.count >= 0 && (uint64_t)list.count * JOB_STRIDE <= jobs.length;
  return napi_create_int32(env, fits ? run_jobs(keys, &list) : BAD_COUNT, &result) == napi_ok ? result : NULL;
}

/* wipe(): forgets all keys. */
static napi_value wipe(napi_env env, napi_callback_info info) {
  mac_keys *keys = unwrap_call(env, info, 0, NULL, NULL);
  if (keys != NULL) wipe_keys(keys);
  return NULL;
}

void register_mac_keys(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {
      {"add", NULL, add, NULL, NULL, NULL, napi_default_method, NULL},
      {"run", NULL, run, NULL, NULL, NULL, napi_default_method, NULL},
      {"wipe", NULL, wipe, NULL, NULL, NULL, napi_default_method, NULL},
  };
  export_class(env, exports, "MacKeys", construct, sizeof methods / sizeof *methods, methods);
}
