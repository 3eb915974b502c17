/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub as the front's modules see it: someone to tell things to, who may be away. Messages that
 * come from it are handed to them by front.c.
 */
#ifndef FL_FRONT_LINK_H
#define FL_FRONT_LINK_H

#include "codec/msg.h"

struct fl_link {
    /* False: the hub is away, or the message was not one; nothing was sent. */
    bool (*send)(void *self, const struct fl_msg *msg);
    void *self;
};

static inline bool fl_link_send(const struct fl_link *link, const struct fl_msg *msg)
{
    return link->send(link->self, msg);
}

#endif
