/* SPDX-License-Identifier: Apache-2.0
 *
 * The profile: the signed statement of what a device of one model may do. Broker rights, reading
 * checks and (later) firewall rules, privacy and baselines are derived from it; nobody writes them
 * twice.
 *
 *     profile camera {
 *         title        "Indoor camera"
 *         vendor       "Example Ltd"
 *         model        CAM-1
 *         version      3                        grows with every change
 *         publish      d/{device}/t/#           MQTT filters; {device} is the device's id
 *         subscribe    d/{device}/c/#
 *         publish      d/{device}/video/# when attested     only with evidence (codec/grade.h)
 *         require      attested within 24h      how old that evidence may be
 *         measure      8 9                      PCRs to be quoted besides 0 to 7
 *         stream temperature { unit "°C"  range -40 85  keep 90d }     (one statement a line)
 *         keep         730d                     how long readings are kept; for ever when absent
 *         support-until 2031-12-31
 *         certificate-life 7d                   1h to 30d; 7d when absent
 *         tls          1.2                      the oldest TLS it may use; 1.3 when absent
 *         rate messages 100/s burst 200         how fast one device may send: /s, /min or /h; the
 *         rate bytes    64k/s burst 256k        burst may be left out; k and M are 1024s of bytes
 *     }
 *     signature ES256 KEYID BASE64URL           added by `fairlead profile sign`; covers every byte
 * before it
 *
 * A parsed profile lives in one allocation. Pure but for that.
 */
#ifndef FL_CODEC_PROFILE_H
#define FL_CODEC_PROFILE_H

#include "base/token_bucket.h"
#include "codec/conf.h"
#include "codec/grade.h"

/* When the profile says nothing. */
#define FL_PROFILE_RATE_MESSAGES                                                                   \
    {                                                                                              \
        .amount = FL_LIMIT_RATE_MESSAGES, .burst = FL_LIMIT_RATE_MESSAGES_BURST, .period_ms = 1000 \
    }
#define FL_PROFILE_RATE_BYTES                                                                      \
    {                                                                                              \
        .amount = FL_LIMIT_RATE_BYTES, .burst = FL_LIMIT_RATE_BYTES_BURST, .period_ms = 1000       \
    }

/* The firmware's and the boot loader's PCRs, as bits. */
#define FL_PCRS_ALWAYS 0xFFU

struct fl_profile_stream {
    char name[FL_NAME_MAX + 1];
    char unit[32];
    double min; /* inclusive; -HUGE_VAL when the profile gives no range */
    double max;
    fl_time_t keep_ms; /* FL_TIME_NEVER: for ever */
};

struct fl_profile {
    char name[FL_NAME_MAX + 1];
    char title[128];
    char vendor[128];
    char model[128];
    uint64_t version;
    const char **publish; /* filters with {device} in them */
    size_t publish_count;
    const char **subscribe;
    size_t subscribe_count;
    uint8_t *publish_when; /* enum fl_grade of each: the evidence without which it is no right */
    uint8_t *subscribe_when;
    fl_time_t within_ms[FL_GRADE_COUNT]; /* how old evidence may be; 0: not required */
    uint32_t pcrs;                       /* those that are to be quoted, as bits */
    struct fl_profile_stream *streams;
    size_t stream_count;
    fl_time_t support_until; /* FL_TIME_NEVER when absent */
    fl_time_t keep_ms;       /* of streams that say nothing else; FL_TIME_NEVER: for ever */
    uint32_t certificate_life_s;
    bool allows_tls12;
    struct fl_rate rate_messages;
    struct fl_rate rate_bytes;
    /* The signature statement, if there is one: what it covers, the key's id (hex of the first 8
     * octets of the SHA-256 of its SubjectPublicKeyInfo) and the raw signature (r || s, 64 octets).
     */
    struct fl_slice signed_text; /* points into the text given to fl_profile_parse */
    char key_id[17];
    uint8_t signature[64];
    bool is_signed;
    void *memory;
};

/* `file` is the name for messages. */
FL_MUST_USE enum fl_error fl_profile_parse(struct fl_slice text, const char *file,
                                           struct fl_profile *profile, struct fl_context *ctx);
void fl_profile_free(struct fl_profile *profile);

/* NULL when the profile has no such stream. */
const struct fl_profile_stream *fl_profile_stream(const struct fl_profile *profile,
                                                  struct fl_slice name);

/* How long a stream's readings are kept, also of one that the profile does not name (any more):
 * milliseconds, FL_TIME_NEVER: for ever. */
fl_time_t fl_profile_keep(const struct fl_profile *profile, struct fl_slice stream);

enum fl_profile_right { FL_RIGHT_PUBLISH, FL_RIGHT_SUBSCRIBE };

/* PUBLISH: `topic` is a topic name that one of the filters must match. SUBSCRIBE: `topic` is a
 * filter, every topic of which must be matched by one of the profile's filters; a topic name is
 * such a filter too, so the same call answers whether a message may be delivered. `grades`: bits of
 * the evidence that holds now. */
bool fl_profile_allows(const struct fl_profile *profile, enum fl_profile_right right,
                       struct fl_slice device, struct fl_slice topic, uint8_t grades);

/* The evidence that it would take, of what fl_profile_allows refused; FL_GRADE_NONE: none would
 * do. */
enum fl_grade fl_profile_lacks(const struct fl_profile *profile, enum fl_profile_right right,
                               struct fl_slice device, struct fl_slice topic);

/* True if every topic that `filter` matches is matched by `pattern`, in which {device} stands for
 * `device` (MQTT 5.0 section 4.7: '+', '#', and '$' topics are not matched by a leading wildcard).
 */
bool fl_topic_covered(const char *pattern, struct fl_slice device, struct fl_slice filter);

#endif
