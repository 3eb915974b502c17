/* SPDX-License-Identifier: Apache-2.0 */
#include "front/refusals.h"

#include "base/list.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>

struct kind {
    struct fl_map_node node;
    uint32_t count; /* since it was last told */
    struct fl_slice device;
    struct fl_slice what;
    struct fl_slice topic;
    char reason[FL_LIMIT_REASON];
    char key[]; /* device NUL what NUL topic */
};

static bool tell(const struct fl_refusals *r, const struct kind *k, uint32_t count)
{
    struct fl_msg msg = {.type = fl_msg_type_refused};

    msg.as.refused.device = k->device;
    msg.as.refused.what = k->what;
    msg.as.refused.topic = k->topic;
    msg.as.refused.reason = fl_slice_str(k->reason);
    msg.as.refused.count = count;
    return fl_link_send(r->link, &msg);
}

static struct kind *make_kind(struct fl_slice device, const char *what, struct fl_slice topic,
                              size_t *key_size)
{
    size_t size = device.size + 1 + strlen(what) + 1 + topic.size;
    struct kind *k = calloc(1, sizeof *k + size);
    char *at = k ? k->key : NULL;

    if (!k)
        return NULL;
    if (device.size)
        memcpy(at, device.data, device.size);
    k->device = fl_slice(at, device.size);
    at += device.size + 1;
    memcpy(at, what, strlen(what));
    k->what = fl_slice(at, strlen(what));
    at += strlen(what) + 1;
    if (topic.size)
        memcpy(at, topic.data, topic.size);
    k->topic = fl_slice(at, topic.size);
    *key_size = size;
    return k;
}

void fl_refusals_message(struct fl_refusals *refusals, struct fl_slice device, const char *what,
                         struct fl_slice topic, const char *reason)
{
    size_t size = 0;
    struct kind *k = make_kind(device, what, topic, &size);
    struct fl_map_node *known = k ? fl_map_find(&refusals->kinds, fl_slice(k->key, size)) : NULL;

    if (known) {
        fl_container_of(known, struct kind, node)->count++;
        free(k);
        return;
    }
    if (!k || refusals->kinds.count >= FL_LIMIT_REFUSALS ||
        fl_map_add(&refusals->kinds, &k->node, fl_slice(k->key, size)) != FL_OK) {
        refusals->untold++;
        refusals->untold_ever++;
        free(k);
        return;
    }
    (void)fl_str_copy(k->reason, sizeof k->reason, reason);
    fl_log_device(FL_LOG_INFO, "refused", k->device, "%.*s: %s", FL_SLICE_ARGS(k->what), k->reason);
    if (!tell(refusals, k, 1))
        k->count++;
}

void fl_refusals_session(struct fl_refusals *refusals, const struct fl_refused_session *session)
{
    struct fl_msg msg = {.type = fl_msg_type_session};

    if (refusals->sessions >= FL_LIMIT_REFUSED_SESSIONS) {
        refusals->untold++;
        refusals->untold_ever++;
        return;
    }
    refusals->sessions++;
    fl_log_device(FL_LOG_INFO, "refused", session->device, "%s: %s", session->peer,
                  session->reason);
    msg.as.session.device = session->device;
    msg.as.session.event = fl_slice_str("refused");
    msg.as.session.at = session->at;
    msg.as.session.peer = fl_slice_str(session->peer);
    msg.as.session.serial = session->serial;
    msg.as.session.resumed = session->resumed ? 1 : 0;
    msg.as.session.reason = fl_slice_str(session->reason);
    (void)fl_link_send(refusals->link, &msg);
}

bool fl_refusals_tick(struct fl_refusals *refusals)
{
    struct fl_map_node *node = fl_map_next(&refusals->kinds, NULL);
    bool busy = refusals->kinds.count > 0 || refusals->sessions > 0;

    while (node) {
        struct kind *k = fl_container_of(node, struct kind, node);

        node = fl_map_next(&refusals->kinds, node);
        if (k->count == 0) {
            fl_map_remove(&refusals->kinds, &k->node);
            free(k);
        } else if (tell(refusals, k, k->count)) {
            k->count = 0;
        }
    }
    if (refusals->untold > 0)
        fl_log(FL_LOG_WARN, "refused", "%llu more refusals in the last second",
               (unsigned long long)refusals->untold);
    refusals->untold = 0;
    refusals->sessions = 0;
    return busy;
}

void fl_refusals_free(struct fl_refusals *refusals)
{
    struct fl_map_node *node = fl_map_next(&refusals->kinds, NULL);

    while (node) {
        struct kind *k = fl_container_of(node, struct kind, node);

        node = fl_map_next(&refusals->kinds, node);
        free(k);
    }
    fl_map_free(&refusals->kinds);
}
