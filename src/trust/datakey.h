/* SPDX-License-Identifier: Apache-2.0
 *
 * The data key of a hub: 32 random octets from which everything is derived that the hub encrypts at
 * rest. It lives in DIR/keys/data.key, PEM of a kind of its own, and in the signer; what others get
 * is derived from it under a label, so that no two uses share a key. No I/O.
 */
#ifndef FL_TRUST_DATAKEY_H
#define FL_TRUST_DATAKEY_H

#include "base/buffer.h"

#define FL_DATAKEY_SIZE 32

/* What is derived from it, each under a label of its own. Labels never change their meaning. */
#define FL_DATAKEY_FRONT_LOG "fairlead front log 1" /* the front's log of undelivered messages */

FL_MUST_USE enum fl_error fl_datakey_to_pem(const uint8_t key[FL_DATAKEY_SIZE],
                                            struct fl_buffer *pem, struct fl_context *ctx);
/* FL_EPARSE: none, more than one, or not of 32 octets. Wipes `key` on failure. */
FL_MUST_USE enum fl_error fl_datakey_from_pem(struct fl_slice pem, uint8_t key[FL_DATAKEY_SIZE],
                                              struct fl_context *ctx);

/* HKDF-SHA256 (RFC 5869) without salt, `label` as info: 32 octets. FL_ECRYPTO. */
FL_MUST_USE enum fl_error fl_datakey_derive(const uint8_t key[FL_DATAKEY_SIZE], const char *label,
                                            uint8_t out[FL_DATAKEY_SIZE], struct fl_context *ctx);

#endif
