/* SPDX-License-Identifier: Apache-2.0 */
#include "front/roster.h"

#include <stdlib.h>

struct profile {
    struct fl_map_node node;
    struct fl_profile parsed;
    uint64_t snapshot;
    char name[FL_NAME_MAX + 1];
};

/* One allocation, as there may be a million of them: three texts follow the struct. */
struct device {
    struct fl_map_node node;
    uint64_t snapshot;
    struct fl_slice profile;
    struct fl_slice reason;
    struct fl_slice credentials; /* serials separated by one space */
    struct fl_slice renewable;   /* one serial or empty */
    bool may_connect;
    uint8_t grades;
    char text[];
};

static struct device *find_device(const struct fl_roster *r, struct fl_slice id)
{
    struct fl_map_node *node = fl_map_find(&r->devices, id);

    return node ? fl_container_of(node, struct device, node) : NULL;
}

static struct profile *find_profile(const struct fl_roster *r, struct fl_slice name)
{
    struct fl_map_node *node = fl_map_find(&r->profiles, name);

    return node ? fl_container_of(node, struct profile, node) : NULL;
}

static void remove_profile(struct fl_roster *r, struct profile *p)
{
    r->epoch++;
    r->tls12 -= p->parsed.allows_tls12;
    fl_map_remove(&r->profiles, &p->node);
    fl_profile_free(&p->parsed);
    free(p);
}

static void remove_device(struct fl_roster *r, struct device *d)
{
    r->epoch++;
    fl_map_remove(&r->devices, &d->node);
    free(d);
}

enum fl_error fl_roster_profile(struct fl_roster *roster, const struct fl_msg_profile *msg,
                                struct fl_context *ctx)
{
    struct profile *p = calloc(1, sizeof *p);
    struct profile *old = find_profile(roster, msg->name);
    enum fl_error error = FL_OK;

    roster->epoch++;
    if (!p)
        return fl_fail(ctx, FL_ENOMEM, "roster: out of memory");
    (void)fl_str_copy_slice(p->name, sizeof p->name, msg->name);
    error = fl_profile_parse(msg->text, p->name, &p->parsed, ctx);
    if (!error && strcmp(p->parsed.name, p->name) != 0)
        error = fl_fail(ctx, FL_EPARSE, "profile '%s' came as '%s'", p->parsed.name, p->name);
    if (!error && !old && roster->profiles.count >= FL_LIMIT_PROFILES)
        error = fl_fail(ctx, FL_ELIMIT, "more than %d profiles", FL_LIMIT_PROFILES);
    if (!error) {
        if (old)
            remove_profile(roster, old);
        p->snapshot = roster->snapshot;
        error = fl_map_add(&roster->profiles, &p->node, fl_slice_str(p->name));
    }
    if (!error)
        roster->tls12 += p->parsed.allows_tls12;
    if (error) {
        fl_profile_free(&p->parsed);
        free(p);
    }
    return fl_fail_in(ctx, error, "roster");
}

static struct fl_slice keep(char **at, struct fl_slice text)
{
    struct fl_slice kept = fl_slice(*at, text.size);

    if (text.size)
        memcpy(*at, text.data, text.size);
    *at += text.size;
    return kept;
}

/* Its rights may have changed all the same: they are asked for anew when the epoch moves. */
static bool is_same(const struct device *a, const struct device *b)
{
    return a->may_connect == b->may_connect && fl_slice_equal(a->credentials, b->credentials) &&
           fl_slice_equal(a->renewable, b->renewable);
}

enum fl_error fl_roster_device(struct fl_roster *roster, const struct fl_msg_device *msg,
                               enum fl_roster_change *change, struct fl_context *ctx)
{
    struct device *old = find_device(roster, msg->id);
    struct device *d = NULL;
    struct fl_slice id = {0};
    char *at = NULL;
    enum fl_error error = FL_OK;

    roster->epoch++;
    if (!fl_name_valid(msg->id))
        return fl_fail(ctx, FL_EINVAL, "roster: not a device id");
    if (!old && roster->devices.count >= FL_LIMIT_DEVICES)
        return fl_fail(ctx, FL_ELIMIT, "roster: more than %d devices", FL_LIMIT_DEVICES);
    d = calloc(1, sizeof *d + msg->id.size + msg->profile.size + msg->reason.size +
                      msg->credentials.size + msg->renewable.size);
    if (!d)
        return fl_fail(ctx, FL_ENOMEM, "roster: out of memory");
    at = d->text;
    id = keep(&at, msg->id);
    d->profile = keep(&at, msg->profile);
    d->reason = keep(&at, msg->reason);
    d->credentials = keep(&at, msg->credentials);
    d->renewable = keep(&at, msg->renewable);
    d->may_connect = msg->may_connect == 1;
    d->grades = msg->grades;
    d->snapshot = roster->snapshot;
    *change = old && is_same(old, d) ? FL_ROSTER_SAME : FL_ROSTER_CHANGED;
    if (old)
        remove_device(roster, old);
    error = fl_map_add(&roster->devices, &d->node, id);
    if (error)
        free(d);
    return fl_fail_in(ctx, error, "roster");
}

void fl_roster_gone(struct fl_roster *roster, struct fl_slice device)
{
    struct device *d = find_device(roster, device);

    if (d)
        remove_device(roster, d);
}

void fl_roster_snapshot_begin(struct fl_roster *roster)
{
    roster->snapshot++;
}

void fl_roster_snapshot_end(struct fl_roster *roster,
                            void (*gone)(void *self, struct fl_slice device), void *self)
{
    struct fl_map_node *node = fl_map_next(&roster->devices, NULL);

    while (node) {
        struct device *d = fl_container_of(node, struct device, node);
        char id[FL_NAME_MAX + 1];

        node = fl_map_next(&roster->devices, node);
        if (d->snapshot == roster->snapshot)
            continue;
        (void)fl_str_copy_slice(id, sizeof id, d->node.key);
        remove_device(roster, d);
        gone(self, fl_slice_str(id));
    }
    node = fl_map_next(&roster->profiles, NULL);
    while (node) {
        struct profile *p = fl_container_of(node, struct profile, node);

        node = fl_map_next(&roster->profiles, node);
        if (p->snapshot != roster->snapshot)
            remove_profile(roster, p);
    }
}

static bool lists(struct fl_slice serials, struct fl_slice serial)
{
    struct fl_slice one = {0};
    bool more = serial.size > 0;

    while (more) {
        more = fl_slice_cut(&serials, ' ', &one);
        if (fl_slice_equal(one, serial))
            return true;
    }
    return false;
}

/* OpenSSL chooses the alert by the verification error. It has none for "a certificate that is
 * good, of someone we do not know"; an error without an alert of its own is sent as
 * certificate_unknown, which is just that. */
#define VERDICT_UNKNOWN X509_V_ERR_UNNESTED_RESOURCE

int fl_roster_judge(const struct fl_roster *roster, const struct fl_cert_info *info, fl_time_t now,
                    struct fl_context *ctx)
{
    const struct device *d = find_device(roster, fl_slice_str(info->name));

    if (!d) {
        (void)fl_fail(ctx, FL_ENOTFOUND, "unknown device");
        return VERDICT_UNKNOWN;
    }
    if (!d->may_connect) {
        (void)fl_fail(ctx, FL_EDENIED, "%.*s", FL_SLICE_ARGS(d->reason));
        return X509_V_ERR_CERT_REVOKED;
    }
    if (!lists(d->credentials, fl_slice_str(info->serial))) {
        (void)fl_fail(ctx, FL_EDENIED, "its credential %s is not valid any more", info->serial);
        return X509_V_ERR_CERT_REVOKED;
    }
    if (now >= info->not_after) {
        (void)fl_fail(ctx, FL_EEXPIRED, "its certificate has expired");
        return X509_V_ERR_CERT_HAS_EXPIRED;
    }
    if (now < info->not_before) {
        (void)fl_fail(ctx, FL_EDENIED, "its certificate is not valid yet");
        return X509_V_ERR_CERT_NOT_YET_VALID;
    }
    return X509_V_OK;
}

int fl_roster_judge_ended(const struct fl_roster *roster, const struct fl_cert_info *info,
                          fl_time_t now, struct fl_context *ctx)
{
    const struct device *d = find_device(roster, fl_slice_str(info->name));

    if (now < info->not_after)
        return fl_roster_judge(roster, info, now, ctx);
    if (d && d->renewable.size && fl_slice_is(d->renewable, info->serial))
        return X509_V_OK;
    (void)fl_fail(ctx, FL_EEXPIRED, "its certificate has expired");
    return X509_V_ERR_CERT_HAS_EXPIRED;
}

bool fl_roster_knows(const struct fl_roster *roster, struct fl_slice device)
{
    return find_device(roster, device) != NULL;
}

bool fl_roster_allows_tls12(const struct fl_roster *roster, struct fl_slice device)
{
    const struct device *d = find_device(roster, device);
    const struct profile *p = d ? find_profile(roster, d->profile) : NULL;

    return p && p->parsed.allows_tls12;
}

bool fl_roster_admits(const struct fl_roster *roster, struct fl_slice device,
                      struct fl_slice serial)
{
    const struct device *d = find_device(roster, device);

    return d && d->may_connect && lists(d->credentials, serial);
}

const struct fl_profile *fl_roster_profile_of(const struct fl_roster *roster,
                                              struct fl_slice device)
{
    const struct device *d = find_device(roster, device);
    const struct profile *p = d && d->may_connect ? find_profile(roster, d->profile) : NULL;

    return p ? &p->parsed : NULL;
}

uint8_t fl_roster_grades_of(const struct fl_roster *roster, struct fl_slice device)
{
    const struct device *d = find_device(roster, device);

    return d ? d->grades : 0;
}

void fl_roster_free(struct fl_roster *roster)
{
    roster->epoch++;
    for (struct fl_map_node *node = fl_map_next(&roster->devices, NULL); node;) {
        struct device *d = fl_container_of(node, struct device, node);

        node = fl_map_next(&roster->devices, node);
        free(d);
    }
    for (struct fl_map_node *node = fl_map_next(&roster->profiles, NULL); node;) {
        struct profile *p = fl_container_of(node, struct profile, node);

        node = fl_map_next(&roster->profiles, node);
        fl_profile_free(&p->parsed);
        free(p);
    }
    roster->tls12 = 0;
    fl_map_free(&roster->devices);
    fl_map_free(&roster->profiles);
}

const struct fl_profile *fl_roster_next_profile(const struct fl_roster *roster,
                                                const struct fl_profile *profile)
{
    const struct profile *before =
        profile ? (const void *)((const char *)profile - offsetof(struct profile, parsed)) : NULL;
    const struct fl_map_node *node = fl_map_next(&roster->profiles, before ? &before->node : NULL);

    return node ? &((const struct profile *)(const void *)((const char *)node -
                                                           offsetof(struct profile, node)))
                       ->parsed
                : NULL;
}
