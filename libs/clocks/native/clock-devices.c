/*
 * Reference clocks that are devices: pulses per second (/dev/ppsN, RFC 2783 as Linux has it) and PTP hardware clocks
 * (/dev/ptpN). Descriptors are the caller's. Nothing here waits.
 */
#include "addon.h"

#include <errno.h>
#include <linux/pps.h>
#include <linux/ptp_clock.h>
#include <sys/ioctl.h>
#include <time.h>

enum { PULSE_NUMBERS = 6, PHC_READS = 8, READ_NUMBERS = 6 };

/* The kernel may well capture the edge already; only to change what it captures takes CAP_SYS_TIME. */
static int capture_edge(int descriptor, int edge) {
  int capabilities;
  struct pps_kparams parameters;
  if (ioctl(descriptor, PPS_GETCAP, &capabilities) != 0) return errno;
  if ((capabilities & edge) == 0) return EOPNOTSUPP;
  if (ioctl(descriptor, PPS_GETPARAMS, &parameters) != 0) return errno;
  if ((parameters.mode & edge) != 0) return 0;
  parameters.api_version = PPS_API_VERS;
  parameters.mode |= edge | PPS_TSFMT_TSPEC;
  return ioctl(descriptor, PPS_SETPARAMS, &parameters) == 0 ? 0 : errno;
}

/* ppsCapture(descriptor, clear): has the kernel stamp the asserting or the clearing edge. */
static napi_value pps_capture(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  int32_t descriptor;
  bool clear;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  if (napi_get_value_int32(env, arguments[0], &descriptor) != napi_ok ||
      napi_get_value_bool(env, arguments[1], &clear) != napi_ok)
    return throw_type(env, "ppsCapture expects a descriptor and a boolean");
  int error = capture_edge(descriptor, clear ? PPS_CAPTURECLEAR : PPS_CAPTUREASSERT);
  if (error != 0) throw_errno(env, "pulse capture", error);
  return NULL;
}

/*
 * ppsFetch(descriptor, Float64Array(6)): the last pulses, at once: sequence, seconds and nanoseconds of the asserting edge,
 * then of the clearing edge. Times are CLOCK_REALTIME. A sequence of 0 means that there was none.
 */
static napi_value pps_fetch(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  int32_t descriptor;
  struct pps_fdata data = {0};
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  double *out = typed_array(env, arguments[1], napi_float64_array, PULSE_NUMBERS);
  if (out == NULL || napi_get_value_int32(env, arguments[0], &descriptor) != napi_ok)
    return throw_type(env, "ppsFetch expects a descriptor and a Float64Array of at least 6");
  /* A timeout of zero, and valid, asks for what is there. */
  if (ioctl(descriptor, PPS_FETCH, &data) != 0) return throw_errno(env, "pulse fetch", errno), NULL;
  out[0] = data.info.assert_sequence;
  out[1] = (double)data.info.assert_tu.sec;
  out[2] = data.info.assert_tu.nsec;
  out[3] = data.info.clear_sequence;
  out[4] = (double)data.info.clear_tu.sec;
  out[5] = data.info.clear_tu.nsec;
  return NULL;
}

static void put(double *out, const struct ptp_clock_time *before, const struct ptp_clock_time *device,
                const struct ptp_clock_time *after) {
  const struct ptp_clock_time *times[3] = {before, device, after};
  for (int time = 0; time < 3; time++) {
    out[2 * time] = (double)times[time]->sec;
    out[2 * time + 1] = times[time]->nsec;
  }
}

/* Both clocks latched by the hardware at one instant. */
static int read_precise(int descriptor, double *out) {
#ifdef PTP_SYS_OFFSET_PRECISE
  struct ptp_sys_offset_precise offset = {0};
  if (ioctl(descriptor, PTP_SYS_OFFSET_PRECISE, &offset) != 0) return 0;
  put(out, &offset.sys_realtime, &offset.device, &offset.sys_realtime);
  return 1;
#else
  (void)descriptor;
  (void)out;
  return 0;
#endif
}

/* The system's clock read by the driver, close before and after the device's. */
static int read_extended(int descriptor, double *out) {
#ifdef PTP_SYS_OFFSET_EXTENDED
  struct ptp_sys_offset_extended offset = {.n_samples = PHC_READS};
  if (ioctl(descriptor, PTP_SYS_OFFSET_EXTENDED, &offset) != 0) return 0;
  for (int read = 0; read < PHC_READS; read++)
    put(out + READ_NUMBERS * read, &offset.ts[read][0], &offset.ts[read][1], &offset.ts[read][2]);
  return PHC_READS;
#else
  (void)descriptor;
  (void)out;
  return 0;
#endif
}

/* The system's clock and the device's in turn, read by the kernel. */
static int read_basic(int descriptor, double *out) {
  struct ptp_sys_offset offset = {.n_samples = PHC_READS};
  if (ioctl(descriptor, PTP_SYS_OFFSET, &offset) != 0) return 0;
  for (int read = 0; read < PHC_READS; read++)
    put(out + READ_NUMBERS * read, &offset.ts[2 * read], &offset.ts[2 * read + 1], &offset.ts[2 * read + 2]);
  return PHC_READS;
}

/* The descriptor as a posix clock (clock_getres(2)), between two readings of the system's. */
static int read_as_clock(int descriptor, double *out) {
  /* A negative one would name a clock of the system's own. */
  if (descriptor < 0) return -EBADF;
  const clockid_t device = (clockid_t)(~(unsigned)descriptor << 3 | 3);
  for (int read = 0; read < PHC_READS; read++) {
    struct timespec times[3];
    clock_gettime(CLOCK_REALTIME, &times[0]);
    if (clock_gettime(device, &times[1]) != 0) return -errno;
    clock_gettime(CLOCK_REALTIME, &times[2]);
    for (int time = 0; time < 3; time++) {
      out[READ_NUMBERS * read + 2 * time] = (double)times[time].tv_sec;
      out[READ_NUMBERS * read + 2 * time + 1] = (double)times[time].tv_nsec;
    }
  }
  return PHC_READS;
}

/*
 * phcRead(descriptor, Float64Array(48)): how many readings there are, of six numbers each: seconds and nanoseconds of
 * CLOCK_REALTIME before, of the device, of CLOCK_REALTIME after. By the best way that the driver knows.
 */
static napi_value phc_read(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2], result;
  int32_t descriptor;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return NULL;
  double *out = typed_array(env, arguments[1], napi_float64_array, PHC_READS * READ_NUMBERS);
  if (out == NULL || napi_get_value_int32(env, arguments[0], &descriptor) != napi_ok)
    return throw_type(env, "phcRead expects a descriptor and a Float64Array of at least 48");
  int reads = read_precise(descriptor, out);
  if (reads == 0) reads = read_extended(descriptor, out);
  if (reads == 0) reads = read_basic(descriptor, out);
  if (reads == 0) reads = read_as_clock(descriptor, out);
  if (reads < 0) return throw_errno(env, "hardware clock", -reads), NULL;
  return napi_create_int32(env, reads, &result) == napi_ok ? result : NULL;
}

void register_clock_devices(napi_env env, napi_value exports) {
  export_function(env, exports, "ppsCapture", pps_capture);
  export_function(env, exports, "ppsFetch", pps_fetch);
  export_function(env, exports, "phcRead", phc_read);
}
