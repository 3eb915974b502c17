/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/eventlog.h"

#include "codec/fields.h"
#include "trust/key.h"

#define EV_NO_ACTION 3
#define SHA1_SIZE 20
#define ALG_SHA256 0x000B
#define ALGORITHMS_MAX 8
#define DIGEST_MAX 64
#define SPEC_ID "Spec ID Event03"
#define LOCALITY "StartupLocality"
#define DYNAMIC_FIRST 17 /* PCRs 17 to 22 begin with ones (dynamic launch) */
#define DYNAMIC_LAST 22

struct algorithm {
    uint16_t id;
    uint16_t size;
};

struct reader {
    struct fl_fields in;
    struct algorithm algorithms[ALGORITHMS_MAX];
    size_t algorithm_count;
    uint32_t number; /* of the event that is read */
    struct fl_event_log *log;
    struct fl_context *ctx;
};

struct event {
    uint32_t pcr;
    uint32_t type;
    struct fl_slice sha256;
    struct fl_slice data;
};

static uint32_t take_u32(struct fl_fields *f, const char *name)
{
    return (uint32_t)fl_fields_uint(f, name, 4);
}

static uint16_t take_u16(struct fl_fields *f, const char *name)
{
    return (uint16_t)fl_fields_uint(f, name, 2);
}

static enum fl_error malformed(const struct reader *r, const char *what)
{
    return fl_fail(r->ctx, FL_EPARSE, "the event log: event %u: %s", r->number, what);
}

/* The first event says which digests the others have. */
static enum fl_error read_algorithms(struct reader *r, struct fl_slice data)
{
    struct fl_fields f = {.in = data};
    struct fl_slice signature = fl_fields_take(&f, "signature", sizeof SPEC_ID);
    bool has_sha256 = false;
    uint32_t count = 0;

    if (f.bad || memcmp(signature.data, SPEC_ID, sizeof SPEC_ID) != 0)
        return fl_fail(r->ctx, FL_EUNSUPPORTED,
                       "the event log does not begin as a crypto agile one: is it of a TPM 1.2?");
    (void)fl_fields_take(&f, "platform and version", 8);
    count = take_u32(&f, "algorithms");
    if (f.bad || count == 0 || count > ALGORITHMS_MAX)
        return malformed(r, "no sane number of digests");
    for (uint32_t i = 0; i < count; i++) {
        struct algorithm *a = &r->algorithms[r->algorithm_count++];

        a->id = take_u16(&f, "algorithm");
        a->size = take_u16(&f, "digest size");
        if (f.bad || a->size == 0 || a->size > DIGEST_MAX ||
            (a->id == ALG_SHA256 && a->size != FL_PCR_SIZE))
            return malformed(r, "a digest of an impossible size");
        has_sha256 = has_sha256 || a->id == ALG_SHA256;
    }
    if (!has_sha256)
        return fl_fail(r->ctx, FL_EUNSUPPORTED, "the event log has no SHA-256 digests");
    return FL_OK;
}

static enum fl_error read_first(struct reader *r)
{
    struct fl_fields *f = &r->in;
    uint32_t type = 0;
    struct fl_slice data = {0};

    (void)take_u32(f, "PCR");
    type = take_u32(f, "type");
    (void)fl_fields_take(f, "digest", SHA1_SIZE);
    data = fl_fields_bytes(f, "data", FL_LIMIT_EVENT_LOG);
    if (f->bad)
        return malformed(r, "it ends too early");
    if (type != EV_NO_ACTION)
        return fl_fail(r->ctx, FL_EUNSUPPORTED,
                       "the event log does not begin as a crypto agile one: is it of a TPM 1.2?");
    return read_algorithms(r, data);
}

static const struct algorithm *algorithm_of(const struct reader *r, uint16_t id)
{
    for (size_t i = 0; i < r->algorithm_count; i++)
        if (r->algorithms[i].id == id)
            return &r->algorithms[i];
    return NULL;
}

static enum fl_error read_event(struct reader *r, struct event *event)
{
    struct fl_fields *f = &r->in;
    uint32_t digests = 0;

    *event = (struct event){0};
    event->pcr = take_u32(f, "PCR");
    event->type = take_u32(f, "type");
    digests = take_u32(f, "digests");
    if (f->bad || digests > ALGORITHMS_MAX)
        return malformed(r,
                         f->bad ? "it ends too early" : "more digests than the log has kinds of");
    for (uint32_t i = 0; i < digests; i++) {
        const struct algorithm *a = algorithm_of(r, take_u16(f, "algorithm"));
        struct fl_slice digest = {0};

        if (!f->bad && !a)
            return malformed(r, "a digest of a kind that the log did not announce");
        digest = fl_fields_take(f, "digest", a ? a->size : 0);
        if (a && a->id == ALG_SHA256)
            event->sha256 = digest;
    }
    event->data = fl_fields_bytes(f, "data", FL_LIMIT_EVENT_LOG);
    if (f->bad)
        return malformed(r, "it ends too early");
    if (event->pcr >= FL_LIMIT_PCRS && event->type != EV_NO_ACTION)
        return malformed(r, "there is no such PCR");
    return FL_OK;
}

/* PCR 0 begins with the locality that started the TPM. */
static void note_locality(struct fl_event_log *log, const struct event *event)
{
    if (event->pcr == 0 && event->data.size == sizeof LOCALITY + 1 &&
        memcmp(event->data.data, LOCALITY, sizeof LOCALITY) == 0)
        log->pcrs.value[0][FL_PCR_SIZE - 1] = event->data.data[sizeof LOCALITY];
}

static enum fl_error extend(struct reader *r, const struct event *event)
{
    uint8_t both[2 * FL_PCR_SIZE];
    uint8_t *value = NULL;

    if (event->type == EV_NO_ACTION) {
        if (r->log->events == 0)
            note_locality(r->log, event);
        return FL_OK;
    }
    if (event->sha256.size != FL_PCR_SIZE)
        return malformed(r, "it has no SHA-256 digest");
    value = r->log->pcrs.value[event->pcr];
    memcpy(both, value, FL_PCR_SIZE);
    memcpy(both + FL_PCR_SIZE, event->sha256.data, FL_PCR_SIZE);
    fl_sha256(fl_slice(both, sizeof both), value);
    r->log->pcrs.present |= 1U << event->pcr;
    r->log->events++;
    return FL_OK;
}

enum fl_error fl_event_log_replay(struct fl_slice bytes, struct fl_event_log *log,
                                  struct fl_context *ctx)
{
    struct reader r = {.in = {.in = bytes}, .log = log, .ctx = ctx};
    struct event event = {0};
    enum fl_error error = FL_OK;

    *log = (struct fl_event_log){.pcrs.present = 0xFF};
    for (int i = DYNAMIC_FIRST; i <= DYNAMIC_LAST; i++)
        memset(log->pcrs.value[i], 0xFF, FL_PCR_SIZE);
    if (bytes.size > FL_LIMIT_EVENT_LOG)
        return fl_fail(ctx, FL_ELIMIT, "the event log has more than %d octets", FL_LIMIT_EVENT_LOG);
    error = read_first(&r);
    while (!error && r.in.in.size) {
        r.number++;
        if (r.number > FL_LIMIT_EVENT_LOG_EVENTS)
            return fl_fail(ctx, FL_ELIMIT, "the event log has more than %d events",
                           FL_LIMIT_EVENT_LOG_EVENTS);
        error = read_event(&r, &event);
        if (!error)
            error = extend(&r, &event);
    }
    return error;
}
