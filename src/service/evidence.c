/* SPDX-License-Identifier: Apache-2.0 */
#include "service/evidence.h"

#include "service/due.h"
#include "service/pcrs_json.h"

#include <stdio.h>

#define KEY_PREFIX "evidence/"
#define DUE_PREFIX "evi/"

struct key {
    char text[sizeof KEY_PREFIX + FL_NAME_MAX];
};

static struct fl_slice key_of(struct key *key, const char *device)
{
    (void)snprintf(key->text, sizeof key->text, KEY_PREFIX "%s", device);
    return fl_slice_str(key->text);
}

/* --- as a document --- */

static json_t *times_to_json(const fl_time_t times[FL_GRADE_COUNT])
{
    json_t *object = json_object();

    for (enum fl_grade g = FL_GRADE_REPORTED; g < FL_GRADE_COUNT; g++)
        (void)json_object_set_new(object, fl_grade_name(g), json_integer(times[g]));
    return object;
}

static void times_from_json(const json_t *object, fl_time_t times[FL_GRADE_COUNT])
{
    for (enum fl_grade g = FL_GRADE_REPORTED; g < FL_GRADE_COUNT; g++)
        times[g] = fl_document_int(object, fl_grade_name(g), 0);
}

static json_t *to_json(const struct fl_evidence *e)
{
    return json_pack(
        "{s:s, s:s, s:I, s:o, s:I, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:I, s:I, s:I, "
        "s:I, s:I}",
        "device", e->device, "grade", fl_grade_name(e->grade), "at", (json_int_t)e->at, "held",
        times_to_json(e->held), "refuted", (json_int_t)e->refuted, "due", times_to_json(e->due),
        "words", e->words, "agent", e->machine.agent, "os", e->machine.os, "kernel",
        e->machine.kernel, "binary", e->machine.binary, "boot", e->machine.boot, "uptime_s",
        (json_int_t)e->machine.uptime_s, "pcrs", fl_pcrs_to_json(&e->pcrs), "quoted",
        (json_int_t)e->quoted, "tpm_clock", (json_int_t)e->tpm_clock, "tpm_resets",
        (json_int_t)e->tpm_resets, "tpm_restarts", (json_int_t)e->tpm_restarts, "log_events",
        (json_int_t)e->log_events);
}

static void from_json(const json_t *document, struct fl_evidence *e)
{
    char grade[16];

    fl_document_str(document, "device", e->device, sizeof e->device);
    fl_document_str(document, "grade", grade, sizeof grade);
    fl_document_str(document, "words", e->words, sizeof e->words);
    fl_document_str(document, "agent", e->machine.agent, sizeof e->machine.agent);
    fl_document_str(document, "os", e->machine.os, sizeof e->machine.os);
    fl_document_str(document, "kernel", e->machine.kernel, sizeof e->machine.kernel);
    fl_document_str(document, "binary", e->machine.binary, sizeof e->machine.binary);
    fl_document_str(document, "boot", e->machine.boot, sizeof e->machine.boot);
    e->grade = fl_grade_of(fl_slice_str(grade));
    if (e->grade == FL_GRADE_COUNT)
        e->grade = FL_GRADE_NONE;
    e->at = fl_document_int(document, "at", 0);
    e->refuted = fl_document_int(document, "refuted", 0);
    times_from_json(json_object_get(document, "held"), e->held);
    times_from_json(json_object_get(document, "due"), e->due);
    e->machine.uptime_s = (uint64_t)fl_document_int(document, "uptime_s", 0);
    fl_pcrs_from_json(json_object_get(document, "pcrs"), &e->pcrs);
    e->quoted = fl_document_int(document, "quoted", 0);
    e->tpm_clock = (uint64_t)fl_document_int(document, "tpm_clock", 0);
    e->tpm_resets = (uint32_t)fl_document_int(document, "tpm_resets", 0);
    e->tpm_restarts = (uint32_t)fl_document_int(document, "tpm_restarts", 0);
    e->log_events = (uint32_t)fl_document_int(document, "log_events", 0);
}

enum fl_error fl_evidence_get(const struct fl_store *store, const char *device,
                              struct fl_evidence *evidence, struct fl_context *ctx)
{
    struct key key;
    json_t *document = NULL;
    enum fl_error error =
        fl_document_get(store, FL_TABLE_META, key_of(&key, device), &document, ctx);

    *evidence = (struct fl_evidence){0};
    (void)fl_str_copy(evidence->device, sizeof evidence->device, device);
    if (error == FL_OK)
        from_json(document, evidence);
    json_decref(document);
    return error;
}

/* --- timers --- */

static enum fl_error set_timers(const struct fl_store *store, struct fl_evidence *e,
                                const struct fl_requirement *requirement, fl_time_t now,
                                struct fl_context *ctx)
{
    struct fl_slice what = fl_slice_str(e->device);
    enum fl_error error = FL_OK;

    for (enum fl_grade g = FL_GRADE_REPORTED; g < FL_GRADE_COUNT && error == FL_OK; g++) {
        fl_time_t end = e->held[g] ? e->held[g] + fl_requirement_within(requirement, g) : 0;

        if (end <= now)
            end = 0;
        if (e->due[g] && e->due[g] != end)
            error = fl_due_del(store, DUE_PREFIX, e->due[g], what, ctx);
        if (error == FL_ENOTFOUND)
            error = FL_OK; /* both grades ended together */
        e->due[g] = end;
    }
    /* Not before all are gone: grades share a timer when they end together. */
    for (enum fl_grade g = FL_GRADE_REPORTED; g < FL_GRADE_COUNT && error == FL_OK; g++)
        if (e->due[g])
            error = fl_due_put(store, DUE_PREFIX, e->due[g], what, ctx);
    return error;
}

enum fl_error fl_evidence_put(const struct fl_store *store, struct fl_evidence *evidence,
                              const struct fl_requirement *requirement, fl_time_t now,
                              struct fl_context *ctx)
{
    struct key key;
    json_t *document = NULL;
    enum fl_error error = set_timers(store, evidence, requirement, now, ctx);

    if (error != FL_OK)
        return error;
    document = to_json(evidence);
    if (!document)
        return fl_fail(ctx, FL_EINVAL, "evidence of %s: a text is not UTF-8", evidence->device);
    error = fl_document_put(store, FL_TABLE_META, key_of(&key, evidence->device), document, ctx);
    json_decref(document);
    return error;
}

enum fl_error fl_evidence_expire(const struct fl_store *store, fl_time_t now,
                                 char device[FL_NAME_MAX + 1], struct fl_context *ctx)
{
    struct fl_due due = {0};
    struct fl_slice what = {0};
    enum fl_error error = fl_due_first(store, DUE_PREFIX, &due, ctx);

    if (error != FL_OK)
        return error;
    if (due.at > now)
        return FL_ENOTFOUND;
    what = fl_slice(due.what, due.what_size);
    (void)fl_str_copy_slice(device, FL_NAME_MAX + 1, what);
    return fl_due_del(store, DUE_PREFIX, due.at, what, ctx);
}

fl_time_t fl_evidence_next(const struct fl_store *store)
{
    struct fl_due due = {0};

    return fl_due_first(store, DUE_PREFIX, &due, NULL) == FL_OK ? due.at : FL_TIME_NEVER;
}

/* --- what it is worth --- */

void fl_evidence_accept(struct fl_evidence *evidence, enum fl_grade grade, bool quoted,
                        fl_time_t now)
{
    evidence->at = now;
    if (evidence->refuted && !quoted)
        return;
    evidence->grade = grade;
    evidence->refuted = 0;
    for (enum fl_grade g = FL_GRADE_REPORTED; g <= grade; g++)
        evidence->held[g] = now;
}

void fl_evidence_refute(struct fl_evidence *evidence, fl_time_t now)
{
    evidence->grade = FL_GRADE_NONE;
    evidence->at = now;
    evidence->refuted = now;
    for (enum fl_grade g = FL_GRADE_REPORTED; g < FL_GRADE_COUNT; g++)
        evidence->held[g] = 0;
}

uint8_t fl_evidence_grades(const struct fl_evidence *evidence,
                           const struct fl_requirement *requirement, fl_time_t now,
                           fl_time_t *until)
{
    uint8_t grades = 0;

    *until = FL_TIME_NEVER;
    for (enum fl_grade g = FL_GRADE_REPORTED; g < FL_GRADE_COUNT; g++) {
        fl_time_t end = evidence->held[g] + fl_requirement_within(requirement, g);

        if (!evidence->held[g] || now >= end)
            continue;
        grades |= FL_GRADE_BIT(g);
        if (end < *until)
            *until = end;
    }
    return grades;
}

/* What is to be said of a grade that is required and does not hold. */
static void say_why(const struct fl_evidence *e, enum fl_grade grade, fl_time_t within,
                    char words[FL_EVIDENCE_WORDS])
{
    char at[FL_TIME_TEXT_MAX];
    char age[FL_TIME_TEXT_MAX];
    int used = snprintf(words, FL_EVIDENCE_WORDS,
                        "its profile asks for %s evidence within %s: ", fl_grade_name(grade),
                        fl_duration_format(within, age));
    char *rest = words + used;
    size_t room = FL_EVIDENCE_WORDS - (size_t)used;

    if (!e->at)
        (void)snprintf(rest, room, "it has given none");
    else if (e->refuted)
        (void)snprintf(rest, room, "refuted at %s: %s", fl_time_format(e->refuted, at), e->words);
    else if (e->held[grade])
        (void)snprintf(rest, room, "the last is of %s", fl_time_format(e->held[grade], at));
    else if (e->grade == FL_GRADE_NONE)
        (void)snprintf(rest, room, "%s", e->words);
    else
        (void)snprintf(rest, room, "what it gave is only %s: %s", fl_grade_name(e->grade),
                       e->words);
}

bool fl_evidence_suffices(const struct fl_evidence *evidence,
                          const struct fl_requirement *requirement, fl_time_t now,
                          char words[FL_EVIDENCE_WORDS])
{
    fl_time_t until = 0;
    uint8_t grades = fl_evidence_grades(evidence, requirement, now, &until);

    words[0] = '\0';
    for (enum fl_grade g = FL_GRADE_REPORTED; g < FL_GRADE_COUNT; g++) {
        if (!requirement->within_ms[g] || fl_grade_holds(grades, g))
            continue;
        say_why(evidence, g, requirement->within_ms[g], words);
        return false;
    }
    return true;
}
