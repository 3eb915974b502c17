/* SPDX-License-Identifier: Apache-2.0 */
#include "front/stamps.h"

#include "base/limits.h"
#include "base/list.h"
#include "base/str.h"

#include <stdlib.h>

struct stream {
    struct fl_map_node node;
    fl_time_t last;
    char key[2 * FL_NAME_MAX + 1]; /* device NUL stream */
};

static void forget(struct fl_stamps *stamps, fl_time_t before)
{
    struct fl_map_node *node = fl_map_next(&stamps->streams, NULL);

    while (node) {
        struct stream *s = fl_container_of(node, struct stream, node);

        node = fl_map_next(&stamps->streams, node);
        if (s->last < before) {
            fl_map_remove(&stamps->streams, &s->node);
            free(s);
        }
    }
}

static enum fl_error remember(struct fl_stamps *stamps, struct fl_slice key, fl_time_t now)
{
    struct stream *s = NULL;
    enum fl_error error = FL_OK;

    if (stamps->streams.count >= FL_LIMIT_STAMPS)
        forget(stamps, now);
    if (stamps->streams.count >= FL_LIMIT_STAMPS)
        return FL_EBUSY;
    s = calloc(1, sizeof *s);
    if (!s)
        return FL_ENOMEM;
    memcpy(s->key, key.data, key.size);
    s->last = now;
    error = fl_map_add(&stamps->streams, &s->node, fl_slice(s->key, key.size));
    if (error)
        free(s);
    return error;
}

enum fl_error fl_stamps_next(struct fl_stamps *stamps, struct fl_slice device,
                             struct fl_slice stream, fl_time_t now, fl_time_t *t)
{
    char text[2 * FL_NAME_MAX + 1] = {0};
    struct fl_slice key = fl_slice(text, device.size + 1 + stream.size);
    struct fl_map_node *node = NULL;
    struct stream *s = NULL;

    if (device.size > FL_NAME_MAX || stream.size > FL_NAME_MAX)
        return FL_EINVAL;
    memcpy(text, device.data, device.size);
    memcpy(text + device.size + 1, stream.data, stream.size);
    node = fl_map_find(&stamps->streams, key);
    if (!node) {
        *t = now;
        return remember(stamps, key, now);
    }
    s = fl_container_of(node, struct stream, node);
    s->last = s->last >= now ? s->last + 1 : now;
    *t = s->last;
    return FL_OK;
}

void fl_stamps_free(struct fl_stamps *stamps)
{
    forget(stamps, FL_TIME_NEVER);
    fl_map_free(&stamps->streams);
}
