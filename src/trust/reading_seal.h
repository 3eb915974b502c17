/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of readings, sealed under a device's data key with AES-256-SIV (RFC 5297): the associated
 * data are the stream and the time. The same value of the same stream at the same time seals to the
 * same octets, so that storing twice can store once; nothing else about a value is to be seen, and
 * a sealed value opens only where it was put. The device and the key's generation are not among
 * the associated data because every device and generation has a key of its own. No I/O.
 */
#ifndef FL_TRUST_READING_SEAL_H
#define FL_TRUST_READING_SEAL_H

#include "base/buffer.h"
#include "base/time.h"
#include "trust/datakey.h"

#define FL_READING_SEAL_SIZE 24 /* SIV, 16 octets, and the encrypted value, 8 */

struct fl_reading_seal;

/* `key` is a device's data key; it may be wiped afterwards. FL_ENOMEM, FL_ECRYPTO. */
FL_MUST_USE enum fl_error fl_reading_seal_create(const uint8_t key[FL_DATAKEY_SIZE],
                                                 struct fl_reading_seal **seal,
                                                 struct fl_context *ctx);
void fl_reading_seal_free(struct fl_reading_seal *seal); /* wipes it; NULL is harmless */

/* FL_EINVAL: not a stream's name. */
FL_MUST_USE enum fl_error fl_reading_seal_value(struct fl_reading_seal *seal,
                                                struct fl_slice stream, fl_time_t t, double value,
                                                uint8_t sealed[FL_READING_SEAL_SIZE],
                                                struct fl_context *ctx);
/* FL_EAUTH: it is not what was sealed with this key for this stream and time. */
FL_MUST_USE enum fl_error fl_reading_seal_open(struct fl_reading_seal *seal, struct fl_slice stream,
                                               fl_time_t t, struct fl_slice sealed, double *value,
                                               struct fl_context *ctx);

#endif
