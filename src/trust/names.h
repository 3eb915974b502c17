/* SPDX-License-Identifier: Apache-2.0
 *
 * Names in certificates: urn:fairlead:device:ID for devices, DNS names and addresses for servers.
 * Private to src/trust but for fl_host_valid (declared in trust/cert.h).
 */
#ifndef FL_TRUST_NAMES_H
#define FL_TRUST_NAMES_H

#include "base/error.h"

#include <openssl/x509v3.h>

FL_MUST_USE enum fl_error fl_names_add_device(GENERAL_NAMES *names, const char *id,
                                              struct fl_context *ctx);
/* FL_EINVAL: neither a DNS name nor an address. */
FL_MUST_USE enum fl_error fl_names_add_host(GENERAL_NAMES *names, const char *host,
                                            struct fl_context *ctx);

/* The id of a device: exactly one name, a URI of ours with a valid id in it. */
FL_MUST_USE enum fl_error fl_names_read_device(const GENERAL_NAMES *names, char *id, size_t size,
                                               struct fl_context *ctx);
/* The first host of a server, whose names are all DNS names and addresses; `wanted`, unless it is
 * empty, must be among them. */
FL_MUST_USE enum fl_error fl_names_read_server(const GENERAL_NAMES *names, const char *wanted,
                                               char *first, size_t size, struct fl_context *ctx);

#endif
