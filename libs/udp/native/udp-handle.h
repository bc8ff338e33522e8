/* What other parts of this folder may know of a UdpHandle. */
#ifndef MERIDIAN_UDP_HANDLE_H
#define MERIDIAN_UDP_HANDLE_H

#include "addon.h"
#include "udp-batch.h"

/* The socket of a UdpHandle object, as long as that lives; NULL where it is none. */
struct udp_batch *udp_handle_batch(napi_env env, napi_value object);

#endif
