/* SPDX-License-Identifier: Apache-2.0
 *
 * The enrolment token: one line of text that a person types, scans or pastes. It says where the hub
 * is and which root certificate it must show, so that the first contact is already authenticated,
 * and carries the secret that is good once. The whole text is the EST password. "fl1." and
 * base64url of u8 kind | 16 secret | 32 SHA-256 of the root certificate (DER) | i64 expiry | u8
 * size, device id or principal | u8 size, host | u16 HTTPS port | u16 MQTT port | u32 CRC-32 big
 * endian. The CRC catches typing mistakes; nothing here is trusted before the hub has seen the
 * secret. Pure: no I/O, no allocation, no cryptography.
 */
#ifndef FL_CODEC_TOKEN_H
#define FL_CODEC_TOKEN_H

#include "base/buffer.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"

#define FL_TOKEN_SECRET_SIZE 16

enum fl_token_kind {
    FL_TOKEN_DEVICE = 1,    /* enrols a device */
    FL_TOKEN_PRINCIPAL = 2, /* claims an administrator's credential */
};

struct fl_token {
    enum fl_token_kind kind;
    uint8_t secret[FL_TOKEN_SECRET_SIZE];
    uint8_t root_sha256[32];
    fl_time_t expires; /* for the holder's information; the hub keeps its own record */
    char id[FL_NAME_MAX + 1];
    char host[FL_LIMIT_HOST + 1]; /* DNS name, IPv4 or IPv6 without brackets */
    uint16_t https_port;
    uint16_t mqtt_port;
};

FL_MUST_USE enum fl_error fl_token_encode(const struct fl_token *token, struct fl_buffer *text);

/* FL_EPARSE with words for a person: not a token, mistyped, or of a later version. Surrounding
 * white space is forgiven. */
FL_MUST_USE enum fl_error fl_token_decode(struct fl_slice text, struct fl_token *token,
                                          struct fl_context *ctx);

#endif
