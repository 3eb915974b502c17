/* SPDX-License-Identifier: Apache-2.0 */
#include "io/role.h"

#include "base/assert.h"
#include "io/sandbox.h"

#include <stdio.h>
#include <unistd.h>

const struct fl_role fl_roles[FL_ROLE_COUNT] = {
    {FL_FROM_SIGNER, "signer", "signer", "fairlead-signer",
     "holds the issuing key and signs what its policy allows", 61401},
    {FL_FROM_HUB, "control", "hub", "fairlead-control", "decides, remembers and answers the API",
     61402},
    {FL_FROM_FRONT, "front", "front", "fairlead-front",
     "speaks TLS, HTTP and MQTT with the outside; holds neither keys nor the database", 61403},
};

const struct fl_role *fl_role_of(enum fl_msg_from from)
{
    for (size_t i = 0; i < FL_ROLE_COUNT; i++)
        if (fl_roles[i].from == from)
            return &fl_roles[i];
    fl_assert_failed("a role of a child", __FILE__, __LINE__);
}

const struct fl_role *fl_role_named(struct fl_slice peer)
{
    for (size_t i = 0; i < FL_ROLE_COUNT; i++)
        if (fl_slice_is(peer, fl_roles[i].peer))
            return &fl_roles[i];
    return NULL;
}

static const char *const level_names[] = {"error", "warn", "info", "debug"};

const char *fl_role_log_level_name(enum fl_log_level level)
{
    return level_names[level];
}

bool fl_role_log_level(struct fl_slice name, enum fl_log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (fl_slice_is(name, level_names[i])) {
            *level = (enum fl_log_level)i;
            return true;
        }
    }
    return false;
}

const char *fl_role_log_format_name(enum fl_log_format format)
{
    return format == FL_LOG_JSON ? "json" : "text";
}

bool fl_role_log_format(struct fl_slice name, enum fl_log_format *format)
{
    *format = fl_slice_is(name, "json") ? FL_LOG_JSON : FL_LOG_TEXT;
    return name.size == 0 || fl_slice_is(name, "json") || fl_slice_is(name, "text");
}

/* --- what each may touch --- */

struct part {
    const char *name; /* under the hub directory */
    bool write;
    bool optional;
};

static const struct part signer_parts[] = {
    {"keys", false, false},
    {"keys/device-keys", true, false},
    {"keys/issued", true, false},
    {"hub.conf", false, false},
};
static const struct part control_parts[] = {
    {"state", true, false},    {"hub.conf", false, false},        {"ca.pem", false, true},
    {"profiles", false, true}, {"profile-keys.pem", false, true},
};
static const struct part front_parts[] = {{"broker", true, false}};
#define PARTS_MAX 5

enum fl_error fl_role_sandbox(const struct fl_role *role, char *dir, size_t size,
                              struct fl_context *ctx)
{
    static const struct {
        enum fl_sandbox_class class;
        const struct part *parts;
        size_t count;
        uint32_t descriptors;
    } policies[FL_ROLE_COUNT] = {
        {FL_SANDBOX_SIGNER, signer_parts, 4, 64},
        {FL_SANDBOX_CONTROL, control_parts, PARTS_MAX, 4096},
        {FL_SANDBOX_FRONT, front_parts, 1, FL_LIMIT_CONNECTIONS + 256},
    };
    size_t at = (size_t)(role - fl_roles);
    char texts[PARTS_MAX][4200];
    struct fl_sandbox_path paths[PARTS_MAX];
    bool root = geteuid() == 0;
    struct fl_sandbox policy = {.class = policies[at].class,
                                .paths = paths,
                                .path_count = policies[at].count,
                                .root = dir,
                                .uid = role->uid,
                                .descriptors = policies[at].descriptors};
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < policies[at].count; i++) {
        const struct part *part = &policies[at].parts[i];
        (void)snprintf(texts[i], sizeof texts[i], "%s/%s", root ? "" : dir, part->name);
        paths[i] = (struct fl_sandbox_path){texts[i], part->write, part->optional};
    }
    error = fl_sandbox_enter(&policy, ctx);
    if (error == FL_OK && root)
        (void)fl_str_copy(dir, size, "/.");
    return error;
}
