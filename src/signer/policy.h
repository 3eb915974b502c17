/* SPDX-License-Identifier: Apache-2.0
 *
 * What the signer signs, whatever the hub says: certificates for devices, for this hub's own front
 * and for its OCSP responder, short-lived, under names that it can check by itself, and not more of
 * them per second than a fleet needs. A hub that was taken over can obtain certificates for
 * devices, each one logged here, but neither an authority, nor a name of another host, nor one that
 * outlives the limits below. Revocation lists it makes itself, out of serials. Pure: no clock, no
 * I/O, no key.
 */
#ifndef FL_SIGNER_POLICY_H
#define FL_SIGNER_POLICY_H

#include "codec/msg.h"
#include "trust/cert.h"

enum {
    FL_SIGNER_VALIDITY_MIN_S = 3600,
    FL_SIGNER_VALIDITY_MAX_S = 30 * 24 * 3600,
    FL_SIGNER_BACKDATE_S = 300, /* for devices whose clock is a little behind */
    FL_SIGNER_RATE = 500,       /* requests a second, in the long run */
    FL_SIGNER_BURST = 2000,
    FL_SIGNER_OCSP_MAX_S = 2 * 24 * 3600, /* a responder's certificate cannot be revoked */
    FL_SIGNER_CRL_MAX_S = 7 * 24 * 3600,
    FL_SIGNER_CRL_RATE = 10,
    FL_SIGNER_CRL_BURST = 20,
};

struct fl_signer_policy {
    const char *const *hosts; /* of hub.conf; the first is the server's name */
    size_t host_count;
    const char *status_url; /* of hub.conf, for device certificates, or NULL */
    fl_time_t issuing_from; /* the issuing certificate's validity, ms since the epoch */
    fl_time_t issuing_until;
};

struct fl_signer_grant {
    enum fl_cert_kind kind; /* FL_CERT_DEVICE, FL_CERT_SERVER or FL_CERT_OCSP */
    char name[FL_LIMIT_HOST + 1];
    fl_time_t not_before;
    fl_time_t not_after; /* never beyond the issuing certificate's */
};

/* Judges everything but the request's key and proof, which fl_csr_check has judged: `csr_name` is
 * the common name that it found, or "". `now` is ms since the epoch.
 * FL_EDENIED (kind, name), FL_EINVAL (validity), FL_ESTATE (the clock), FL_EEXPIRED. */
FL_MUST_USE enum fl_error fl_signer_policy_judge(const struct fl_signer_policy *policy,
                                                 const struct fl_msg_sign *request,
                                                 const char *csr_name, fl_time_t now,
                                                 struct fl_signer_grant *grant,
                                                 struct fl_context *ctx);

/* Of a revocation list: who signs says from when it holds, and to no more than a week. FL_EINVAL,
 * FL_ESTATE (the clock; the number is not over `last_number`), FL_EEXPIRED. */
FL_MUST_USE enum fl_error fl_signer_policy_judge_crl(const struct fl_signer_policy *policy,
                                                     const struct fl_msg_crl_sign *request,
                                                     uint64_t last_number, fl_time_t now,
                                                     struct fl_context *ctx);

/* Zero-initialised, it is full at its first use. */
struct fl_signer_rate {
    fl_time_t at; /* monotonic ms of the last use */
    int64_t used; /* thousandths of a request, since it was last full */
};

/* True, and one less left, when a request may be worked on now. Refused ones count as well. */
bool fl_signer_rate_take(struct fl_signer_rate *rate, fl_time_t now);
/* The same with a rate and a burst of one's own. */
bool fl_signer_rate_take_of(struct fl_signer_rate *rate, fl_time_t now, int64_t per_s,
                            int64_t burst);

#endif
