/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/api_check.h"
#include "test/twin/hub_world.h"

#include <stdio.h>
#include <stdlib.h>

#define API "/api/v1"

static const char other[] =
    "profile meter {\n"
    "    title \"Meter\"\n    vendor \"V\"\n    model M\n    version %d\n"
    "    publish d/{device}/t/#\n    stream power {\n        unit W\n    }\n"
    "}\n";

/* {"text": a signed profile} */
static char *profile_body(struct hub_world *w, int version)
{
    char text[512];
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    json_t *body = NULL;
    char *dumped = NULL;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(text, sizeof text, other, version);
#pragma GCC diagnostic pop
    assert_ok(fl_profile_sign(fl_slice_str(text), w->profile_key, &out, NULL));
    body = json_pack("{s:s%}", "text", (const char *)fl_buffer_slice(&out).data,
                     fl_buffer_slice(&out).size);
    dumped = json_dumps(body, 0);
    json_decref(body);
    fl_buffer_free(&out);
    return dumped;
}

static void assert_problem(const struct hub_world *w, int status, const char *part)
{
    assert_int_equal(w->status, status);
    assert_string_equal(w->content_type, "application/problem+json");
    assert_int_equal(json_integer_value(json_object_get(w->answer, "status")), status);
    assert_contains(hub_text(w, "detail"), part);
}

static const struct fl_api_schema *schema_named(const char *name)
{
    const struct fl_api_schema *s = fl_api_schemas;

    while (s->name && strcmp(s->name, name) != 0)
        s++;
    assert_non_null(s->name);
    return s;
}

/* Every answer has the members that the document promises, and no others. */
static void assert_as_promised(const struct hub_world *w, const struct fl_api_route *route)
{
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    if (!route->schema)
        return;
    if (strchr(route->schema, '/')) {
        assert_string_equal(w->content_type, route->schema);
        return;
    }
    if (route->list)
        assert_true(json_is_array(w->answer));
    for (size_t i = 0; route->list && i < json_array_size(w->answer) && error == FL_OK; i++)
        error = fl_api_check_object(schema_named(route->schema)->fields,
                                    json_array_get(w->answer, i), &ctx);
    if (!route->list)
        error = fl_api_check_object(schema_named(route->schema)->fields, w->answer, &ctx);
    if (error != FL_OK)
        fail_msg("%s %s: %s", route->method, route->path, ctx.text);
}

struct example {
    const char *method;
    const char *pattern; /* of the route */
    const char *path;
    const char *query;
    const char *body;
};

/* One good call of every route, in an order that makes them work. */
static const struct example examples[] = {
    {"GET", API "/health", API "/health", "", ""},
    {"GET", "/api/openapi.json", "/api/openapi.json", "", ""},
    {"GET", "/metrics", "/metrics", "", ""},
    {"GET", API "/load", API "/load", "", ""},
    {"POST", API "/devices", API "/devices", "",
     "{\"id\":\"cam-02\",\"profile\":\"camera\",\"site\":\"Halle ü\",\"ttl_s\":60}"},
    {"GET", API "/devices", API "/devices", "", ""},
    {"GET", API "/devices/{id}", API "/devices/cam-01", "", ""},
    {"POST", API "/devices/{id}/token", API "/devices/cam-02/token", "", ""},
    {"POST", API "/devices/{id}/quarantine", API "/devices/cam-01/quarantine", "",
     "{\"for_s\":60,\"reason\":\"odd traffic\"}"},
    {"GET", API "/devices/{id}", API "/devices/cam-01", "", ""},
    {"POST", API "/devices/{id}/release", API "/devices/cam-01/release", "", "{}"},
    {"POST", API "/devices/{id}/hold", API "/devices/cam-01/hold", "",
     "{\"for_s\":60,\"reason\":\"the key may have leaked\"}"},
    {"GET", API "/devices/{id}", API "/devices/cam-01", "", ""},
    {"POST", API "/devices/{id}/release", API "/devices/cam-01/release", "", "{}"},
    {"POST", API "/devices/{id}/revoke", API "/devices/cam-01/revoke", "", "{\"dry_run\":true}"},
    {"POST", API "/devices/{id}/revoke", API "/devices/cam-01/revoke", "", ""},
    {"GET", API "/actions", API "/actions", "", ""},
    {"POST", API "/actions/{id}/undo", API "/actions/3/undo", "", ""},
    {"POST", API "/devices/{id}/retire", API "/devices/cam-02/retire", "", ""},
    {"GET", API "/devices/{id}/readings", API "/devices/cam-01/readings", "limit=3&order=desc", ""},
    {"GET", API "/devices/{id}/readings", API "/devices/cam-01/readings", "every=1h", ""},
    {"GET", API "/devices/{id}/privacy", API "/devices/cam-01/privacy", "", ""},
    {"POST", API "/devices/{id}/erase", API "/devices/cam-01/erase", "", "{\"reason\":\"asked\"}"},
    {"GET", API "/devices/{id}/evidence", API "/devices/cam-01/evidence", "", ""},
    {"POST", API "/devices/{id}/reference", API "/devices/cam-01/reference", "",
     "{\"change\":\"accept\",\"of\":\"profile\",\"reason\":\"as delivered\"}"},
    {"POST", API "/devices/{id}/reference", API "/devices/cam-01/reference", "",
     "{\"change\":\"accept\"}"},
    {"POST", API "/devices/{id}/tpm", API "/devices/cam-01/tpm", "",
     "{\"ek_hash\":\"00000000000000000000000000000000000000000000000000000000000000ab\"}"},
    {"GET", API "/devices/{id}/evidence", API "/devices/cam-01/evidence", "", ""},
    {"GET", API "/profiles", API "/profiles", "", ""},
    {"GET", API "/profiles/{name}", API "/profiles/camera", "", ""},
    {"GET", API "/audit", API "/audit", "after=2&limit=5", ""},
    {"GET", API "/audit/verify", API "/audit/verify", "", ""},
    {"GET", API "/issued", API "/issued", "device=cam-01&limit=5", ""},
    {"POST", API "/principals", API "/principals", "", "{\"name\":\"bob\"}"},
    {"POST", API "/principals/claim", API "/principals/claim", "", NULL},
    {"GET", API "/principals", API "/principals", "", ""},
    {"DELETE", API "/principals/{name}", API "/principals/bob", "", ""},
    {"POST", API "/profiles", API "/profiles", "", NULL},
};

static char *made_body(struct hub_world *w, const struct example *e)
{
    char body[FL_LIMIT_TOKEN_TEXT + 64];

    if (strcmp(e->pattern, API "/profiles") == 0)
        return profile_body(w, 1);
    (void)snprintf(body, sizeof body, "{\"name\":\"bob\",\"token\":\"%s\"}", hub_text(w, "token"));
    return strdup(body);
}

/* Its TPM has quoted something. */
static void give_evidence(struct hub_world *w)
{
    struct fl_evidence e = {.device = "cam-01", .quoted = w->now, .words = "why"};
    const struct fl_requirement none = {.pcrs = FL_PCRS_ALWAYS};

    e.pcrs.present = FL_PCRS_ALWAYS;
    fl_evidence_accept(&e, FL_GRADE_REPORTED, true, w->now);
    assert_ok(fl_evidence_put(&w->hub.store, &e, &none, w->now, NULL));
}

static void every_route_answers_as_the_document_says(void **state)
{
    struct hub_world *w = *state;
    bool called[64] = {false};

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_readings(w, 1, "cam-01", 1.1, 9);
    fl_hub_flush(&w->hub);
    give_evidence(w);
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        const struct example *e = &examples[i];
        char *body = e->body ? strdup(e->body) : made_body(w, e);
        size_t r = 0;

        while (fl_api_routes[r].method && (strcmp(fl_api_routes[r].method, e->method) != 0 ||
                                           strcmp(fl_api_routes[r].path, e->pattern) != 0))
            r++;
        assert_non_null(fl_api_routes[r].method);
        called[r] = true;
        hub_call(w, e->method, e->path, e->query, body);
        if (w->status != fl_api_routes[r].status)
            fail_msg("%s %s: %d %s", e->method, e->path, w->status, hub_text(w, "detail"));
        assert_as_promised(w, &fl_api_routes[r]);
        free(body);
    }
    for (size_t r = 0; fl_api_routes[r].method; r++)
        if (!called[r])
            fail_msg("no example calls %s %s", fl_api_routes[r].method, fl_api_routes[r].path);
}

/* Every reference of the document leads somewhere. */
static void assert_references(const json_t *document, json_t *node)
{
    const char *key = NULL;
    json_t *value = NULL;
    size_t i = 0;

    if (json_is_array(node))
        json_array_foreach(node, i, value) assert_references(document, value);
    if (!json_is_object(node))
        return;
    json_object_foreach(node, key, value)
    {
        const char *prefix = "#/components/schemas/";

        if (strcmp(key, "$ref") == 0) {
            const json_t *schemas =
                json_object_get(json_object_get(document, "components"), "schemas");

            assert_memory_equal(json_string_value(value), prefix, strlen(prefix));
            assert_non_null(json_object_get(schemas, json_string_value(value) + strlen(prefix)));
        }
        assert_references(document, value);
    }
}

static void the_document_has_every_route_and_nothing_else(void **state)
{
    struct hub_world *w = *state;
    const json_t *paths = NULL;
    const char *path = NULL;
    json_t *methods = NULL;
    size_t operations = 0;
    size_t routes = 0;

    hub_world_start(w);
    hub_call_with(w, "", "GET", "/api/openapi.json", "");
    assert_int_equal(w->status, 200);
    assert_string_equal(hub_text(w, "openapi"), "3.0.3");
    assert_references(w->answer, w->answer);
    paths = json_object_get(w->answer, "paths");
    json_object_foreach((json_t *)(uintptr_t)paths, path, methods) operations +=
        json_object_size(methods);
    for (; fl_api_routes[routes].method; routes++)
        assert_non_null(json_object_get(paths, fl_api_routes[routes].path));
    assert_int_equal(operations, routes);
}

static void what_is_not_in_the_table_is_refused(void **state)
{
    struct hub_world *w = *state;
    static const struct {
        const char *method;
        const char *path;
        const char *query;
        const char *body;
        int status;
        const char *part;
    } bad[] = {
        {"GET", "/", "", "", 404, "openapi"},
        {"GET", API "/device", "", "", 404, "no such path"},
        {"GET", API "/devices/", "", "", 404, "no such path"},
        {"GET", API "/devices/cam-01/", "", "", 404, "no such path"},
        {"PUT", API "/devices", "", "", 405, "method"},
        {"GET", API "/devices", "", "{}", 400, "no body"},
        {"GET", API "/health", "x=1", "", 400, "no query"},
        {"GET", API "/devices", "colour=red", "", 400, "not known"},
        {"GET", API "/devices", "limit=0", "", 400, "limit"},
        {"GET", API "/devices", "limit=1001", "", 400, "limit"},
        {"GET", API "/devices", "limit=1&limit=2", "", 400, "twice"},
        {"GET", API "/devices", "limit=-1", "", 400, "whole number"},
        {"GET", API "/devices", "limit=%zz", "", 400, "malformed"},
        {"GET", API "/devices", "state=%", "", 400, "malformed"},
        {"GET", API "/devices", "state=lost", "", 400, "state"},
        {"GET", API "/devices", "after=a%20b", "", 400, "after"},
        {"GET", API "/devices", "site=%ff", "", 400, "malformed"},
        {"POST", API "/devices", "", "", 400, "'id' is missing"},
        {"POST", API "/devices", "", "{", 400, "not JSON"},
        {"POST", API "/devices", "", "[]", 400, "object"},
        {"POST", API "/devices", "", "{\"id\":\"a\",\"id\":\"b\"}", 400, "not JSON"},
        {"POST", API "/devices", "", "{\"id\":1,\"profile\":\"camera\"}", 400, "id: must be a"},
        {"POST", API "/devices", "", "{\"id\":\"a b\",\"profile\":\"camera\"}", 400, "id: a name"},
        {"POST", API "/devices", "", "{\"id\":\"a\",\"profile\":\"camera\",\"x\":1}", 400, "'x'"},
        {"POST", API "/devices", "", "{\"id\":\"a\",\"profile\":\"camera\",\"ttl_s\":1.5}", 400,
         "ttl_s"},
        {"POST", API "/devices", "", "{\"id\":\"a\",\"profile\":\"camera\",\"ttl_s\":604801}", 400,
         "ttl_s"},
        {"POST", API "/devices", "", "{\"id\":\"a\",\"profile\":\"camra\"}", 422,
         "did you mean camera?"},
        {"POST", API "/devices", "", "{\"id\":\"a\",\"profile\":\"xyz\"}", 422, "known: camera"},
        {"POST", API "/devices", "", "{\"id\":\"cam-01\",\"profile\":\"camera\"}", 409, "already"},
        {"GET", API "/devices/none", "", "", 404, "none"},
        {"GET", API "/devices/a b", "", "", 404, "no device"},
        {"POST", API "/devices/cam-01/quarantine", "", "{\"for_s\":0}", 400, "for_s"},
        {"POST", API "/devices/cam-01/quarantine", "", "{\"dry_run\":\"yes\"}", 400, "true or"},
        {"POST", API "/devices/cam-01/revoke", "", "{\"for_s\":10}", 400, "for_s"},
        {"POST", API "/devices/cam-01/release", "", "", 409, "not quarantined"},
        {"POST", API "/actions/x/undo", "", "", 400, "number"},
        {"POST", API "/actions/77/undo", "", "", 404, "77"},
        {"GET", API "/devices/cam-01/readings", "after=1&order=desc", "", 400, "order"},
        {"GET", API "/devices/cam-01/readings", "from=yesterday", "", 400, "from"},
        {"GET", API "/devices/none/readings", "", "", 404, "none"},
        {"GET", API "/profiles/none", "", "", 404, "profile"},
        {"POST", API "/profiles", "", "{\"text\":\"profile x {\"}", 400, "profile"},
        {"DELETE", API "/principals/none", "", "", 404, "principal"},
        {"POST", API "/principals/claim", "", "{\"name\":\"a\",\"token\":\"rubbish\"}", 400,
         "token"},
        {"POST", API "/principals", "", "{\"name\":\"../x\"}", 400, "name"},
    };

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        hub_call(w, bad[i].method, bad[i].path, bad[i].query, bad[i].body);
        assert_problem(w, bad[i].status, bad[i].part);
    }
}

/* Claims a credential for `name` into `credential`. */
static void claim(struct hub_world *w, const char *name, char *credential, size_t size)
{
    char body[FL_LIMIT_TOKEN_TEXT + 64];

    (void)snprintf(body, sizeof body, "{\"name\":\"%s\"}", name);
    hub_call(w, "POST", API "/principals", "", body);
    assert_int_equal(w->status, 201);
    (void)snprintf(body, sizeof body, "{\"name\":\"%s\",\"token\":\"%s\"}", name,
                   hub_text(w, "token"));
    hub_call_with(w, "", "POST", API "/principals/claim", body);
    assert_int_equal(w->status, 201);
    (void)fl_str_copy(credential, size, hub_text(w, "credential"));
    hub_call_with(w, "", "POST", API "/principals/claim", body);
    assert_problem(w, 403, "used already");
}

static void without_a_good_credential_nothing_is_told(void **state)
{
    struct hub_world *w = *state;
    char credential[128];
    char wrong[160];

    hub_world_start(w);
    hub_call_with(w, "", "GET", API "/devices", "");
    assert_problem(w, 401, "credential");
    hub_call_with(w, "", "GET", API "/health", "");
    assert_int_equal(w->status, 200);
    claim(w, "alice.b", credential, sizeof credential);
    hub_call_with(w, credential, "GET", API "/devices", "");
    assert_int_equal(w->status, 200);
    (void)snprintf(wrong, sizeof wrong, "%sA", credential);
    hub_call_with(w, wrong, "GET", API "/devices", "");
    assert_problem(w, 401, "no such");
    wrong[strlen(credential) - 1] = wrong[strlen(credential) - 1] == 'A' ? 'Q' : 'A';
    wrong[strlen(credential)] = '\0';
    hub_call_with(w, wrong, "GET", API "/devices", "");
    assert_problem(w, 401, "no such");
    hub_call_with(w, "flp.nobody.AAAA", "GET", API "/devices", "");
    assert_problem(w, 401, "no such");
    hub_call_with(w, "flp.", "GET", API "/devices", "");
    assert_problem(w, 401, "no such");
    w->now += (fl_time_t)FL_LIMIT_PRINCIPAL_S * 1000;
    hub_call_with(w, credential, "GET", API "/devices", "");
    assert_problem(w, 401, "expired");
}

static void a_change_is_recorded_under_the_name_of_who_made_it(void **state)
{
    struct hub_world *w = *state;
    char credential[128];
    const json_t *last = NULL;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    claim(w, "alice", credential, sizeof credential);
    hub_call_with(w, credential, "POST", API "/devices/cam-01/quarantine", "{\"reason\":\"x\"}");
    assert_int_equal(w->status, 200);
    hub_call(w, "GET", API "/audit", "", "");
    last = json_array_get(w->answer, json_array_size(w->answer) - 1);
    assert_string_equal(json_string_value(json_object_get(last, "who")), "alice");
    assert_string_equal(json_string_value(json_object_get(last, "what")), "device.quarantine");
    hub_call(w, "POST", API "/devices/cam-01/release", "", "");
    hub_call(w, "GET", API "/audit", "", "");
    last = json_array_get(w->answer, json_array_size(w->answer) - 1);
    assert_string_equal(json_string_value(json_object_get(last, "who")), "local:1000");
    hub_call(w, "DELETE", API "/principals/alice", "", "");
    assert_int_equal(w->status, 204);
    hub_call_with(w, credential, "GET", API "/devices", "");
    assert_int_equal(w->status, 401);
}

static void a_removed_principals_token_stays_used(void **state)
{
    struct hub_world *w = *state;
    char credential[128];

    hub_world_start(w);
    claim(w, "alice", credential, sizeof credential);
    hub_call(w, "POST", API "/principals", "", "{\"name\":\"alice\"}");
    assert_problem(w, 409, "alice");
    hub_call(w, "DELETE", API "/principals/alice", "", "");
    claim(w, "alice", credential, sizeof credential);
}

static void lists_are_filtered_and_continued(void **state)
{
    struct hub_world *w = *state;
    char body[128];

    hub_world_start(w);
    for (int i = 0; i < 7; i++) {
        (void)snprintf(body, sizeof body,
                       "{\"id\":\"d-%d\",\"profile\":\"camera\",\"site\":\"s%d\"}", i, i % 2);
        hub_call(w, "POST", API "/devices", "", body);
        assert_int_equal(w->status, 201);
    }
    hub_enrol(w, "z-1");
    hub_call(w, "GET", API "/devices", "limit=3", "");
    assert_int_equal(json_array_size(w->answer), 3);
    hub_call(w, "GET", API "/devices", "after=d-2&limit=10", "");
    assert_int_equal(json_array_size(w->answer), 5);
    hub_call(w, "GET", API "/devices", "site=s0", "");
    assert_int_equal(json_array_size(w->answer), 4);
    hub_call(w, "GET", API "/devices", "state=active&posture=ok&profile=camera", "");
    assert_int_equal(json_array_size(w->answer), 1);
    hub_call(w, "GET", API "/devices", "posture=revoked", "");
    assert_int_equal(json_array_size(w->answer), 0);
}

static void readings_are_paged_by_position_without_loss(void **state)
{
    struct hub_world *w = *state;
    char query[64] = "after=0&limit=100";
    size_t seen = 0;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    for (uint64_t i = 0; i < 5; i++) {
        w->now -= 100000; /* later ones are older: time and position disagree */
        hub_readings(w, i, "cam-01", 0, 85);
        fl_hub_flush(&w->hub);
    }
    for (;;) {
        const json_t *last = NULL;

        hub_call(w, "GET", API "/devices/cam-01/readings", query, "");
        if (json_array_size(w->answer) == 0)
            break;
        seen += json_array_size(w->answer);
        last = json_array_get(w->answer, json_array_size(w->answer) - 1);
        (void)snprintf(query, sizeof query, "after=%lld&limit=100",
                       (long long)json_integer_value(json_object_get(last, "position")));
    }
    assert_int_equal(seen, 425);
}

static void a_value_is_written_as_short_as_it_reads_back(void **state)
{
    struct hub_world *w = *state;
    static const double values[] = {20.1, -0.5, 3, 1e300, 0.1 + 0.2};

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    for (size_t i = 0; i < 5; i++) {
        w->now += 1000;
        hub_readings(w, i, "cam-01", values[i], 1);
    }
    fl_hub_flush(&w->hub);
    hub_call(w, "GET", API "/devices/cam-01/readings", "", "");
    for (size_t i = 0; i < 5; i++) {
        double value = json_number_value(json_object_get(json_array_get(w->answer, i), "value"));

        assert_true(value >= values[i] && value <= values[i]);
    }
}

static void a_full_disk_is_507_and_over_when_there_is_space(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    for (uint64_t nth = 1; nth < 20; nth++) {
        fl_store_twin_fail(&w->hub.store, nth, FL_EFULL);
        hub_call(w, "POST", API "/devices", "", "{\"id\":\"cam-01\",\"profile\":\"camera\"}");
        fl_store_twin_fail(&w->hub.store, 0, FL_OK);
        if (w->status == 201)
            break;
        assert_int_equal(w->status, 507);
        hub_call(w, "GET", API "/devices/cam-01", "", "");
        assert_int_equal(w->status, 404);
    }
    hub_call(w, "GET", API "/devices/cam-01", "", "");
    assert_int_equal(w->status, 200);
    hub_call(w, "GET", API "/audit/verify", "", "");
    assert_true(json_is_true(json_object_get(w->answer, "valid")));
}

static void profiles_come_in_signed_and_with_growing_versions(void **state)
{
    struct hub_world *w = *state;
    char *one = NULL;
    char *two = NULL;
    char *again = NULL;

    hub_world_start(w);
    one = profile_body(w, 1);
    two = profile_body(w, 2);
    again = profile_body(w, 2); /* another signature: not byte for byte */
    hub_call(w, "POST", API "/profiles", "", one);
    assert_int_equal(w->status, 201);
    hub_call(w, "POST", API "/profiles", "", one);
    assert_int_equal(w->status, 200);
    hub_call(w, "POST", API "/profiles", "", two);
    assert_int_equal(w->status, 201);
    assert_int_equal(w->counts[fl_msg_type_profile], 3);
    hub_call(w, "POST", API "/profiles", "", one);
    assert_problem(w, 409, "version");
    hub_call(w, "POST", API "/profiles", "", again);
    assert_problem(w, 409, "version");
    hub_call(w, "GET", API "/profiles", "", "");
    assert_int_equal(json_array_size(w->answer), 2);
    /* A changed text has no good signature. */
    memcpy(strstr(two, "Meter"), "Motor", 5);
    hub_call(w, "POST", API "/profiles", "", two);
    assert_problem(w, 422, "signature");
    free(one);
    free(two);
    free(again);
}

static void put(struct hub_world *w, enum fl_table table, const char *key, const char *document)
{
    assert_ok(w->hub.store.ops->put(w->hub.store.self, table, fl_slice_str(key),
                                    fl_slice_str(document), NULL));
}

static void devices_principals_and_profiles_are_bounded(void **state)
{
    struct hub_world *w = *state;
    char key[32];
    char document[96];
    char *body = NULL;

    hub_world_start(w);
    (void)snprintf(document, sizeof document, "{\"devices\":%d}", FL_LIMIT_DEVICES - 1);
    put(w, FL_TABLE_META, "registry", document);
    hub_call(w, "POST", API "/devices", "", "{\"id\":\"a\",\"profile\":\"camera\"}");
    assert_int_equal(w->status, 201);
    hub_call(w, "POST", API "/devices", "", "{\"id\":\"b\",\"profile\":\"camera\"}");
    assert_problem(w, 422, "devices already");

    for (int i = 0; i < FL_LIMIT_PRINCIPALS; i++) {
        (void)snprintf(key, sizeof key, "p-%d", i);
        (void)snprintf(document, sizeof document, "{\"name\":\"%s\"}", key);
        put(w, FL_TABLE_PRINCIPAL, key, document);
    }
    hub_call(w, "POST", API "/principals", "", "{\"name\":\"alice\"}");
    body = malloc(FL_LIMIT_TOKEN_TEXT);
    (void)snprintf(body, FL_LIMIT_TOKEN_TEXT, "{\"name\":\"alice\",\"token\":\"%s\"}",
                   hub_text(w, "token"));
    hub_call(w, "POST", API "/principals/claim", "", body);
    assert_problem(w, 422, "principals already");
    free(body);

    for (int i = 0; i < FL_LIMIT_PROFILES; i++) {
        (void)snprintf(key, sizeof key, "f-%04d", i);
        (void)snprintf(document, sizeof document, "{\"name\":\"%s\",\"text\":\"\"}", key);
        put(w, FL_TABLE_PROFILE, key, document);
    }
    body = profile_body(w, 1);
    hub_call(w, "POST", API "/profiles", "", body);
    assert_problem(w, 422, "profiles already");
    free(body);
}

static void checks_of_the_audit_log_at_once_are_bounded(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    for (uint64_t i = 1; i <= 2100; i++) {
        struct fl_key8 key = fl_key8(i);

        assert_ok(w->hub.store.ops->put(w->hub.store.self, FL_TABLE_AUDIT, fl_key8_slice(&key),
                                        fl_slice_str("{}"), NULL));
    }
    hub_call(w, "GET", API "/audit/verify", "", "");
    assert_false(json_is_true(json_object_get(w->answer, "valid")));
    w->hub.verify_count = FL_LIMIT_VERIFIES;
    hub_call(w, "GET", API "/audit/verify", "", "");
    assert_problem(w, 503, "too many");
    w->hub.verify_count = 0;
}

#define api_unit(name) cmocka_unit_test_setup_teardown(name, hub_world_open, hub_world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_unit(every_route_answers_as_the_document_says),
        api_unit(the_document_has_every_route_and_nothing_else),
        api_unit(what_is_not_in_the_table_is_refused),
        api_unit(without_a_good_credential_nothing_is_told),
        api_unit(a_change_is_recorded_under_the_name_of_who_made_it),
        api_unit(a_removed_principals_token_stays_used),
        api_unit(lists_are_filtered_and_continued),
        api_unit(readings_are_paged_by_position_without_loss),
        api_unit(a_value_is_written_as_short_as_it_reads_back),
        api_unit(a_full_disk_is_507_and_over_when_there_is_space),
        api_unit(profiles_come_in_signed_and_with_growing_versions),
        api_unit(devices_principals_and_profiles_are_bounded),
        api_unit(checks_of_the_audit_log_at_once_are_bounded),
    };

    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
