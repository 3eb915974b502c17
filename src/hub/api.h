/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub's HTTP API (docs/design/api.md): one table of routes, used to find the handler, to check
 * the request, and to write the OpenAPI document, so that these cannot disagree. A handler gets a
 * request whose path, query and body have been checked against its route, and answers now or later.
 */
#ifndef FL_HUB_API_H
#define FL_HUB_API_H

#include "hub/hub.h"

struct fl_api_request {
    struct fl_api_caller caller;
    struct fl_slice method;
    struct fl_slice path;
    struct fl_slice query;
    struct fl_slice body;
    struct fl_slice bearer;
    bool local; /* came in by the Unix socket, which is a credential by itself */
    uint32_t uid;
};

/* Leads to exactly one answer. */
void fl_api_call(struct fl_hub *hub, const struct fl_api_request *request);

/* --- among the files of the API --- */

enum fl_api_type {
    FL_API_STRING,
    FL_API_NAME, /* fl_name_valid */
    FL_API_TIME, /* RFC 3339 */
    FL_API_INTEGER,
    FL_API_NUMBER,
    FL_API_BOOLEAN,
    FL_API_OBJECT,  /* of `schema`, or free when NULL */
    FL_API_STRINGS, /* an array of strings */
    FL_API_OBJECTS, /* an array of `schema` */
};

/* A member of a body, a parameter of a query, a member of an answer. */
struct fl_api_field {
    const char *name;
    enum fl_api_type type;
    bool required; /* in an answer: always there */
    bool nullable;
    int64_t min;               /* of an integer */
    int64_t max;               /* of an integer; the octets of a string; 0: see the type */
    const char *const *values; /* the only ones, ending in NULL */
    const char *schema;
    const char *words;
};

struct fl_api_schema {
    const char *name;
    const struct fl_api_field *fields; /* up to a NULL name */
};
extern const struct fl_api_schema fl_api_schemas[]; /* up to a NULL name */

struct fl_api_call {
    struct fl_hub *hub;
    struct fl_api_caller caller;
    const struct fl_api_route *route;
    struct fl_slice segment; /* what stands for {id} or {name} */
    json_t *query;           /* an object: integers and strings, as the route has them */
    json_t *body;            /* an object, as the route has it */
    char who[FL_NAME_MAX + 8];
    fl_time_t now;     /* ms since the epoch */
    fl_time_t started; /* monotonic */
};

enum fl_api_access {
    FL_API_CREDENTIAL, /* an administrator's */
    FL_API_METRICS,    /* or one that may read metrics and nothing else */
    FL_API_OPEN
};

struct fl_api_route {
    const char *method;
    const char *path;
    void (*handle)(struct fl_api_call *call);
    const char *words;
    const struct fl_api_field *query; /* NULL: takes none */
    const struct fl_api_field *body;  /* NULL: takes none */
    const char *schema; /* of the answer; NULL: no body, or free; with a '/': not JSON but this */
    int status;         /* when all is well */
    enum fl_api_access access;
    bool list; /* the answer is an array of it */
};
extern const struct fl_api_route fl_api_routes[]; /* up to a NULL method */

json_t *fl_api_openapi(void);

/* Answers. `body` is taken over. */
void fl_api_answer(struct fl_hub *hub, struct fl_api_caller caller, int status, json_t *body);
void fl_api_problem(struct fl_hub *hub, struct fl_api_caller caller, enum fl_error error,
                    const char *detail);
void fl_api_problem_status(struct fl_hub *hub, struct fl_api_caller caller, int status,
                           const char *detail);
/* For a call that fails with `error` and words. */
void fl_api_fail(struct fl_api_call *call, enum fl_error error, const struct fl_context *ctx);
void fl_api_answer_outcome(struct fl_hub *hub, struct fl_api_caller caller,
                           const struct fl_outcome *outcome, uint32_t sessions_closed,
                           fl_time_t took_ms);

/* An array that is written row by row and kept within one message: a page ends early when its text
 * is long, and the next one goes on from there. */
struct fl_api_list {
    struct fl_buffer text;
    size_t count;
    size_t limit;
    bool full;
};
void fl_api_list_init(struct fl_api_list *list, size_t limit);
/* `row` is taken over. False: this was the last one. */
bool fl_api_list_add(struct fl_api_list *list, json_t *row);
bool fl_api_list_add_text(struct fl_api_list *list, const char *row);
void fl_api_list_answer(struct fl_api_call *call, struct fl_api_list *list, enum fl_error error,
                        const struct fl_context *ctx);

/* Members of a checked body or query. */
const char *fl_api_str(const json_t *from, const char *name, const char *otherwise);
int64_t fl_api_int(const json_t *from, const char *name, int64_t otherwise);
bool fl_api_bool(const json_t *from, const char *name);

/* Objects of the API. */
json_t *fl_api_device(const struct fl_hub *hub, const struct fl_device *device,
                      struct fl_posture *posture); /* NULL: its records cannot be read */
json_t *fl_api_action(const struct fl_action *action);
json_t *fl_api_evidence(const struct fl_posture *posture);
json_t *fl_api_time(fl_time_t t);
json_t *fl_api_keep(fl_time_t keep_ms); /* "90d", "forever" */

bool fl_api_tick_verifies(struct fl_hub *hub);   /* true: more to do at once */
void fl_api_forget_verifies(struct fl_hub *hub); /* those that the front asked for */
void fl_api_verify_free(struct fl_hub_verify *verify);
/* Its second half: the issuance log and the registry. */
void fl_api_verify_issued(struct fl_hub *hub, struct fl_hub_verify *verify);
bool fl_api_verify_issued_step(struct fl_hub *hub, struct fl_hub_verify *verify);
void fl_api_verify_conclude(struct fl_hub *hub, struct fl_hub_verify *verify, enum fl_error error,
                            const struct fl_context *ctx);

void fl_api_resume_readings(struct fl_hub *hub); /* calls that wait for a key, see fl_hub_key */
void fl_api_forget_readings(struct fl_hub *hub); /* those that came by the front */
void fl_api_free_readings(struct fl_hub *hub);

/* Handlers, by file. */
void fl_api_get_health(struct fl_api_call *call);
void fl_api_get_openapi(struct fl_api_call *call);
void fl_api_get_metrics(struct fl_api_call *call);
void fl_api_get_load(struct fl_api_call *call);
void fl_api_list_devices(struct fl_api_call *call);
void fl_api_add_device(struct fl_api_call *call);
void fl_api_get_device(struct fl_api_call *call);
void fl_api_new_token(struct fl_api_call *call);
void fl_api_quarantine(struct fl_api_call *call);
void fl_api_hold(struct fl_api_call *call);
void fl_api_release(struct fl_api_call *call);
void fl_api_revoke(struct fl_api_call *call);
void fl_api_retire(struct fl_api_call *call);
void fl_api_get_evidence(struct fl_api_call *call);
void fl_api_reference(struct fl_api_call *call);
void fl_api_tpm(struct fl_api_call *call);
void fl_api_list_actions(struct fl_api_call *call);
void fl_api_undo(struct fl_api_call *call);
void fl_api_list_readings(struct fl_api_call *call);
void fl_api_get_privacy(struct fl_api_call *call);
void fl_api_erase(struct fl_api_call *call);
void fl_api_list_profiles(struct fl_api_call *call);
void fl_api_add_profile(struct fl_api_call *call);
void fl_api_get_profile(struct fl_api_call *call);
void fl_api_list_audit(struct fl_api_call *call);
void fl_api_verify_audit(struct fl_api_call *call);
void fl_api_list_issued(struct fl_api_call *call);
void fl_api_list_principals(struct fl_api_call *call);
void fl_api_invite_principal(struct fl_api_call *call);
void fl_api_claim_principal(struct fl_api_call *call);
void fl_api_remove_principal(struct fl_api_call *call);

#endif
