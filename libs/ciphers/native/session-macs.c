/*
 * SessionMacs: Autokey's session keys (RFC 5906 §9.1) and the MACs under them, by the list. A key is a digest of the packet's
 * addresses, its key id and a cookie, which is itself a digest of the addresses and a secret: so a request costs three digests
 * and its reply two, all of a batch in one call, and those of MD5 eight at a time. The layout of a job is that of
 * libs/auth/src/autokey/session-batch.ts. Nothing is kept but the digest's context.
 */
#include "addon.h"
#include "aead-engine.h"
#include "md5.h"
#include "transmit-stamp.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum { JOB_FLAGS, JOB_ADDRESSES_AT, JOB_PACKET_AT, JOB_COOKIE, JOB_STATUS, JOB_STRIDE };
enum { SEAL = 1, IPV6 = 2 };

/* What a run returns when it refuses a list: job · REASONS + reason. session-macs-native.ts has the words, job-refused.ts the factor. */
enum { ACCEPTED = -1, REASONS = 16 };
enum { BAD_COUNT, BAD_ADDRESSES, BAD_PACKET };

/* A header, a key id and as much of a digest as a MAC holds. */
enum { HEADER_BYTES = 48, TRANSMIT_AT = 40, KEY_ID_BYTES = 4, LONGEST_MAC_DIGEST = 20 };
/* The client's address and the server's, of which IPv4 fills the first four bytes. */
enum { ADDRESS_STRIDE = 16, IPV4_BYTES = 4, WORD_BYTES = 4, LONGEST_INPUT = 2 * ADDRESS_STRIDE + 2 * WORD_BYTES };
enum { LONGEST_NAME = 32, GROUP = MD5_LANES };

typedef struct {
  EVP_MD *digest;
  EVP_MD_CTX *context;
  bool is_md5;
  size_t digest_bytes;
  size_t mac_digest_bytes;
} session_macs;

typedef struct {
  int32_t *data;
  int32_t count;
  bytes packets;
  bytes addresses;
  double stamped_at;
  bool has_secret[2];
  uint32_t secrets[2];
} job_list;

typedef struct {
  bool is_seal;
  const uint8_t *client;
  const uint8_t *server;
  size_t address_bytes;
  uint8_t *packet;
  int32_t *cookie;
  int32_t *status;
} session_job;

/* What is hashed: a key, of which MD5_LONGEST_KEY bytes can be read, and a message. */
typedef struct {
  const uint8_t *key;
  size_t key_bytes;
  const uint8_t *message;
  size_t message_bytes;
} text;

typedef uint8_t digest_bytes[EVP_MAX_MD_SIZE];

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  session_macs *macs = data;
  EVP_MD_CTX_free(macs->context);
  EVP_MD_free(macs->digest);
  free(macs);
}

static bool digest_alone(const session_macs *macs, const text *of, digest_bytes out) {
  return EVP_DigestInit_ex2(macs->context, NULL, NULL) == 1 && EVP_DigestUpdate(macs->context, of->key, of->key_bytes) == 1 &&
         EVP_DigestUpdate(macs->context, of->message, of->message_bytes) == 1 &&
         EVP_DigestFinal_ex(macs->context, out, NULL) == 1;
}

static bool digest_group(const session_macs *macs, const text *texts, int32_t count, digest_bytes *out) {
  if (!macs->is_md5) {
    for (int32_t index = 0; index < count; index++)
      if (!digest_alone(macs, &texts[index], out[index])) return false;
    return true;
  }
  md5_group lanes;
  lanes.count = 0;
  for (int32_t index = 0; index < count; index++)
    md5_add(&lanes, texts[index].key, texts[index].key_bytes, texts[index].message, texts[index].message_bytes);
  md5_run(&lanes);
  for (int32_t index = 0; index < count; index++) memcpy(out[index], lanes.digests[index], MD5_DIGEST_BYTES);
  aead_wipe(lanes.texts, lanes.count * sizeof lanes.texts[0]);
  return true;
}

static void put_word(uint8_t *place, uint32_t word) {
  uint32_t ordered = htobe32(word);
  memcpy(place, &ordered, sizeof ordered);
}

static uint32_t word_at(const uint8_t *place) {
  uint32_t word;
  memcpy(&word, place, sizeof word);
  return be32toh(word);
}

static const uint8_t NO_KEY[MD5_LONGEST_KEY] = {0};

/* Source ‖ destination ‖ a key id ‖ a cookie, hashed. */
static text keyed_input(uint8_t *input, const uint8_t *source, const uint8_t *destination, size_t address_bytes, uint32_t key_id,
                        uint32_t cookie) {
  memcpy(input, source, address_bytes);
  memcpy(input + address_bytes, destination, address_bytes);
  put_word(input + 2 * address_bytes, key_id);
  put_word(input + 2 * address_bytes + WORD_BYTES, cookie);
  return (text){NO_KEY, 0, input, 2 * address_bytes + 2 * WORD_BYTES};
}

/* The digests of MACs: H(session key ‖ header). */
static bool mac_group(const session_macs *macs, session_job *const *jobs, int32_t count, digest_bytes *out) {
  uint8_t inputs[GROUP][LONGEST_INPUT];
  digest_bytes keys[GROUP];
  text texts[GROUP] = {0};
  for (int32_t index = 0; index < count; index++) {
    const session_job *job = jobs[index];
    const uint8_t *source = job->is_seal ? job->server : job->client;
    const uint8_t *destination = job->is_seal ? job->client : job->server;
    uint32_t key_id = word_at(job->packet + HEADER_BYTES);
    texts[index] = keyed_input(inputs[index], source, destination, job->address_bytes, key_id, (uint32_t)*job->cookie);
  }
  bool done = digest_group(macs, texts, count, keys);
  for (int32_t index = 0; index < count; index++)
    texts[index] = (text){keys[index], macs->digest_bytes, jobs[index]->packet, HEADER_BYTES};
  done = done && digest_group(macs, texts, count, out);
  aead_wipe(keys, sizeof keys);
  return done;
}

/* Cookies by a secret. */
static bool cookie_group(const session_macs *macs, session_job *const *jobs, int32_t count, uint32_t secret) {
  uint8_t inputs[GROUP][LONGEST_INPUT];
  digest_bytes digests[GROUP];
  text texts[GROUP] = {0};
  for (int32_t index = 0; index < count; index++)
    texts[index] = keyed_input(inputs[index], jobs[index]->client, jobs[index]->server, jobs[index]->address_bytes, 0, secret);
  if (!digest_group(macs, texts, count, digests)) return false;
  for (int32_t index = 0; index < count; index++) *jobs[index]->cookie = (int32_t)word_at(digests[index]);
  return true;
}

/* Those whose MAC is not by this secret are left, moved to the front; returns how many. */
static int32_t verify_group(const session_macs *macs, session_job **jobs, int32_t count, uint32_t secret) {
  digest_bytes digests[GROUP];
  int32_t left = 0;
  if (!cookie_group(macs, jobs, count, secret) || !mac_group(macs, jobs, count, digests)) return count;
  for (int32_t index = 0; index < count; index++) {
    session_job *job = jobs[index];
    const uint8_t *mac = job->packet + HEADER_BYTES + KEY_ID_BYTES;
    uint8_t difference = 0;
    for (size_t at = 0; at < macs->mac_digest_bytes; at++) difference |= mac[at] ^ digests[index][at];
    *job->status = difference == 0;
    if (difference != 0) jobs[left++] = job;
  }
  return left;
}

static void seal_group(const session_macs *macs, session_job *const *jobs, int32_t count, double stamped_at) {
  digest_bytes digests[GROUP];
  uint64_t units = units_since(stamped_at);
  for (int32_t index = 0; index < count; index++) move_stamp(jobs[index]->packet + TRANSMIT_AT, units);
  if (!mac_group(macs, jobs, count, digests)) return;
  for (int32_t index = 0; index < count; index++) {
    memcpy(jobs[index]->packet + HEADER_BYTES + KEY_ID_BYTES, digests[index], macs->mac_digest_bytes);
    *jobs[index]->status = 1;
    reply_is_sealed(jobs[index]->packet + TRANSMIT_AT);
  }
}

static bool within(bytes buffer, int32_t at, size_t length) {
  return at >= 0 && (uint64_t)at + length <= buffer.length;
}

/* Reads and checks one job; touches nothing it names. */
static int read_job(const session_macs *macs, const job_list *list, int32_t index, session_job *job) {
  int32_t *at = list->data + (size_t)index * JOB_STRIDE;
  if (!within(list->addresses, at[JOB_ADDRESSES_AT], 2 * ADDRESS_STRIDE)) return BAD_ADDRESSES;
  if (!within(list->packets, at[JOB_PACKET_AT], HEADER_BYTES + KEY_ID_BYTES + macs->mac_digest_bytes)) return BAD_PACKET;
  *job = (session_job){
      .is_seal = (at[JOB_FLAGS] & SEAL) != 0,
      .client = list->addresses.data + at[JOB_ADDRESSES_AT],
      .server = list->addresses.data + at[JOB_ADDRESSES_AT] + ADDRESS_STRIDE,
      .address_bytes = (at[JOB_FLAGS] & IPV6) != 0 ? ADDRESS_STRIDE : IPV4_BYTES,
      .packet = list->packets.data + at[JOB_PACKET_AT],
      .cookie = at + JOB_COOKIE,
      .status = at + JOB_STATUS,
  };
  return ACCEPTED;
}

/* All jobs are checked before the first is done, so a refused list leaves every buffer as it was. */
static int32_t run_jobs(const session_macs *macs, const job_list *list) {
  session_job jobs[GROUP], *asked[GROUP], *sealed[GROUP];
  for (int32_t index = 0; index < list->count; index++) {
    int reason = read_job(macs, list, index, &jobs[0]);
    if (reason != ACCEPTED) return index * REASONS + reason;
  }
  for (int32_t start = 0; start < list->count; start += GROUP) {
    int32_t count = list->count - start < GROUP ? list->count - start : GROUP, asking = 0, sealing = 0;
    for (int32_t index = 0; index < count; index++) {
      if (read_job(macs, list, start + index, &jobs[index]) != ACCEPTED) return ACCEPTED;
      *jobs[index].status = 0;
      if (jobs[index].is_seal) sealed[sealing++] = &jobs[index];
      else asked[asking++] = &jobs[index];
    }
    for (int secret = 0; secret < 2 && asking > 0; secret++)
      if (list->has_secret[secret]) asking = verify_group(macs, asked, asking, list->secrets[secret]);
    if (sealing > 0) seal_group(macs, sealed, sealing, list->stamped_at);
  }
  return ACCEPTED;
}

/* new SessionMacs(name): throws where this OpenSSL does not have or allow the digest, or it is too short for a cookie. */
static napi_value construct(napi_env env, napi_callback_info info) {
  char name[LONGEST_NAME];
  size_t count = 1, length;
  napi_value self, argument;
  if (napi_get_cb_info(env, info, &count, &argument, &self, NULL) != napi_ok) return NULL;
  if (napi_get_value_string_latin1(env, argument, name, sizeof name, &length) != napi_ok)
    return throw_type(env, "SessionMacs expects the name of a digest");
  session_macs *macs = calloc(1, sizeof *macs);
  if (macs == NULL) return NULL;
  macs->digest = EVP_MD_fetch(NULL, name, NULL);
  macs->context = EVP_MD_CTX_new();
  if (macs->digest == NULL || macs->context == NULL || EVP_DigestInit_ex2(macs->context, macs->digest, NULL) != 1 ||
      EVP_MD_get_size(macs->digest) < WORD_BYTES || EVP_MD_get_size(macs->digest) > EVP_MAX_MD_SIZE) {
    finalize(env, macs, NULL);
    return throw_type(env, "this OpenSSL has no such digest");
  }
  macs->is_md5 = strcmp(name, "md5") == 0;
  macs->digest_bytes = (size_t)EVP_MD_get_size(macs->digest);
  macs->mac_digest_bytes = macs->digest_bytes < LONGEST_MAC_DIGEST ? macs->digest_bytes : LONGEST_MAC_DIGEST;
  if (napi_wrap(env, self, macs, finalize, NULL, NULL) != napi_ok) return finalize(env, macs, NULL), NULL;
  return self;
}

/* A secret is a number from 0 to 2^32 - 1; a negative one is none. */
static bool read_secret(napi_env env, napi_value value, bool *is_there, uint32_t *secret) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok || !(number <= UINT32_MAX)) return false;
  *is_there = number >= 0;
  *secret = *is_there ? (uint32_t)number : 0;
  return true;
}

/*
 * run(jobs: Int32Array, count, packets: Uint8Array, addresses: Uint8Array, current, previous, stampedAt): -1, or which job is
 * refused and why.
 */
static napi_value run(napi_env env, napi_callback_info info) {
  napi_value arguments[7], result;
  job_list list;
  bytes jobs;
  session_macs *macs = unwrap_call(env, info, 7, arguments, NULL);
  if (macs == NULL) return NULL;
  if (!read_array(env, arguments[0], napi_int32_array, &jobs) ||
      napi_get_value_int32(env, arguments[1], &list.count) != napi_ok ||
      !read_array(env, arguments[2], napi_uint8_array, &list.packets) ||
      !read_array(env, arguments[3], napi_uint8_array, &list.addresses) ||
      !read_secret(env, arguments[4], &list.has_secret[0], &list.secrets[0]) ||
      !read_secret(env, arguments[5], &list.has_secret[1], &list.secrets[1]) ||
      napi_get_value_double(env, arguments[6], &list.stamped_at) != napi_ok)
    return throw_type(env, "run expects an Int32Array, a count, two Uint8Arrays, two secrets and a number");
  list.data = (int32_t *)(void *)jobs.data;
  bool fits = list.count >= 0 && (uint64_t)list.count * JOB_STRIDE <= jobs.length;
  return napi_create_int32(env, fits ? run_jobs(macs, &list) : BAD_COUNT, &result) == napi_ok ? result : NULL;
}

void register_session_macs(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {{"run", NULL, run, NULL, NULL, NULL, napi_default_method, NULL}};
  export_class(env, exports, "SessionMacs", construct, sizeof methods / sizeof *methods, methods);
}
