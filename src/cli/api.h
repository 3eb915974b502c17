/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub's API (docs/design/api.md) for the verbs: finds the hub that was meant, opens the right
 * door (DIR/run/hub.sock, or HTTPS with the stored credential), makes calls, follows pages. Every
 * failure comes back with words, and with a hint in the call about what to do.
 */
#ifndef FL_CLI_API_H
#define FL_CLI_API_H

#include "cli/cli.h"
#include "io/http_client.h"

struct fl_api {
    struct fl_cli *cli;
    struct fl_http_client *client;
    bool local;
    char directory[4096]; /* of a local hub */
    char url[300];        /* of a remote one */
};

/* The hub's directory or URL from --hub, FAIRLEAD_HUB, or the only login. */
FL_MUST_USE enum fl_error fl_api_open(struct fl_cli *cli, struct fl_api *api,
                                      struct fl_context *ctx);
void fl_api_close(struct fl_api *api);

/* The directory that --hub or FAIRLEAD_HUB names; for verbs that work on its files. */
FL_MUST_USE enum fl_error fl_api_directory(struct fl_cli *cli, const char **directory,
                                           struct fl_context *ctx);

/* One call. `request` may be NULL and stays the caller's. `answer` is for json_decref; NULL when
 * the hub answered without a body. */
FL_MUST_USE enum fl_error fl_api_call(struct fl_api *api, const char *method, const char *path,
                                      json_t *request, json_t **answer, struct fl_context *ctx);

/* GETs the array at `path`, page after page (after=ROW[key]), until `limit` rows were visited or
 * there are no more. A visit's error ends it and is returned. */
struct fl_api_list {
    const char *path;
    const char *key;
    const char *first_after; /* NULL or "": from the beginning */
    bool one_page;           /* a list that has no after= */
    size_t limit;            /* 0: all */
    enum fl_error (*visit)(void *to, json_t *row, struct fl_context *ctx);
    void *to;
};
FL_MUST_USE enum fl_error fl_api_each(struct fl_api *api, const struct fl_api_list *list,
                                      struct fl_context *ctx);

/* Appends "&name=value" (or "?...") percent-encoded; a NULL value appends nothing. */
void fl_api_query(struct fl_buffer *path, const char *name, const char *value);
/* Appends one segment, percent-encoded. */
void fl_api_segment(struct fl_buffer *path, const char *segment);

#endif
