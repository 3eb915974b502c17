/* SPDX-License-Identifier: Apache-2.0 */
#include "test/twin/hub_world.h"

#include "codec/exposition.h"

#include <stdlib.h>

#define metrics_unit(test) cmocka_unit_test_setup_teardown(test, hub_world_open, hub_world_close)

static void tell_counters(struct hub_world *w, size_t workers, size_t cut)
{
    struct fl_counters_process process = {.devices = 3};
    struct fl_counters_worker worker = {.connections = 7, .received_qos1 = 40};
    struct fl_counters_log log = {.appends = 11, .bytes = 4096, .limit = 8192};
    const struct fl_busy busy = {.device = "cam-01", .weight = 40, .other = 900};
    struct fl_buffer own = FL_BUFFER(65536);
    struct fl_buffer of_log = FL_BUFFER(65536);
    struct fl_buffer all = FL_BUFFER(FL_LIMIT_MSG);
    struct fl_buffer busiest = FL_BUFFER(65536);
    struct fl_msg msg = {.type = fl_msg_type_counters};

    fl_histogram_count(&worker.round, 80);
    assert_ok(fl_counters_put(&process, sizeof process, &own));
    fl_histogram_count(&log.commit, 3000);
    assert_ok(fl_counters_put(&log, sizeof log, &of_log));
    for (size_t i = 0; i < workers; i++)
        assert_ok(fl_counters_put(&worker, sizeof worker, &all));
    assert_ok(fl_busy_put(&busy, &busiest));
    msg.as.counters.interval_ms = 1000;
    msg.as.counters.process = fl_buffer_slice(&own);
    msg.as.counters.log = fl_buffer_slice(&of_log);
    msg.as.counters.workers = fl_buffer_slice(&all);
    msg.as.counters.workers.size -= cut;
    msg.as.counters.busiest = fl_buffer_slice(&busiest);
    fl_hub_from_front(&w->hub, &msg);
    fl_buffer_free(&own);
    fl_buffer_free(&of_log);
    fl_buffer_free(&all);
    fl_buffer_free(&busiest);
}

static const char *metrics(struct hub_world *w)
{
    hub_call(w, "GET", "/metrics", "", "");
    assert_int_equal(w->status, 200);
    assert_string_equal(w->content_type, FL_EXPOSITION_TYPE);
    return fl_buffer_str(&w->text);
}

static void what_the_front_says_is_shown_for_each_worker(void **state)
{
    struct hub_world *w = *state;
    const char *text = NULL;

    hub_world_start(w);
    assert_null(strstr(metrics(w), "fairlead_front_"));
    assert_null(strstr(metrics(w), "fairlead_log_"));
    tell_counters(w, 2, 0);
    text = metrics(w);
    assert_contains(text, "fairlead_front_connections{worker=\"0\"} 7\n");
    assert_contains(text, "fairlead_front_connections{worker=\"1\"} 7\n");
    assert_contains(text, "messages_received_total{qos=\"1\",worker=\"1\"} 40\n");
    assert_contains(text, "round_seconds_bucket{worker=\"0\",le=\"0.0001\"} 1\n");
    assert_contains(text, "fairlead_front_devices_known 3\n");
    assert_contains(text, "fairlead_log_appends_total 11\n");
    assert_contains(text, "fairlead_log_bytes 4096\n");
    assert_contains(text, "fairlead_log_limit_bytes 8192\n");
    assert_contains(text, "fairlead_log_commit_seconds_bucket{le=\"0.005\"} 1\n");
    assert_contains(text, "fairlead_log_commit_seconds_count 1\n");
    /* Nothing that grows with the fleet is in a label. */
    assert_null(strstr(text, "cam-01"));
    fl_hub_front_down(&w->hub);
    text = metrics(w);
    assert_null(strstr(text, "fairlead_front_"));
    assert_contains(text, "fairlead_process_up{process=\"front\"} 0\n");
}

static void counters_that_cannot_be_are_not_taken(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    tell_counters(w, 0, 0);
    tell_counters(w, FL_LIMIT_WORKERS + 1, 0);
    tell_counters(w, 2, 8);
    assert_false(w->hub.metrics.has_front);
    tell_counters(w, FL_LIMIT_WORKERS, 0);
    assert_int_equal(w->hub.metrics.worker_count, FL_LIMIT_WORKERS);
    /* The largest page still fits one message. */
    assert_contains(metrics(w), "{worker=\"63\"} 7\n");
    tell_counters(w, 2, 8);
    assert_int_equal(w->hub.metrics.worker_count, FL_LIMIT_WORKERS);
}

static void the_hub_shows_what_it_has_and_does(void **state)
{
    struct hub_world *w = *state;
    const char *text = NULL;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_call(w, "POST", "/api/v1/devices", "", "{\"id\":\"cam-02\",\"profile\":\"camera\"}");
    hub_readings(w, 1, "cam-01", 1.5, 9);
    fl_hub_flush(&w->hub);
    hub_call(w, "POST", "/api/v1/devices/cam-01/quarantine", "", "{}");
    text = metrics(w);
    assert_contains(text, "fairlead_hub_devices{state=\"expected\"} 1\n");
    assert_contains(text, "fairlead_hub_devices{state=\"quarantined\"} 1\n");
    assert_contains(text, "fairlead_hub_postures{posture=\"quarantined\"} 1\n");
    assert_contains(text, "fairlead_hub_actions_active 1\n");
    assert_contains(text, "fairlead_hub_readings_total 9\n");
    assert_contains(text, "fairlead_hub_commit_seconds_count 1\n");
    assert_contains(text, "fairlead_process_up{process=\"signer\"} 1\n");
    assert_contains(text, "fairlead_process_cpu_seconds_total{process=\"signer\"} 1.5\n");
    assert_contains(text, "fairlead_build_info{version=\"" FL_VERSION "\"} 1\n");
    fl_hub_signer_down(&w->hub);
    text = metrics(w);
    assert_contains(text, "fairlead_process_up{process=\"signer\"} 0\n");
    assert_null(strstr(text, "cpu_seconds_total{process=\"signer\"}"));
}

static void a_large_fleet_is_counted_in_steps_while_somebody_looks(void **state)
{
    struct hub_world *w = *state;
    int ticks = 0;

    hub_world_start(w);
    for (int i = 0; i < 450; i++) {
        char body[80];

        (void)snprintf(body, sizeof body, "{\"id\":\"cam-%03d\",\"profile\":\"camera\"}", i);
        hub_call(w, "POST", "/api/v1/devices", "", body);
        assert_int_equal(w->status, 201);
    }
    assert_false(fl_metrics_tick(&w->hub)); /* nobody has looked */
    assert_null(strstr(metrics(w), "fairlead_hub_devices"));
    while (fl_metrics_tick(&w->hub) && ticks < 100)
        ticks++;
    assert_in_range(ticks, 2, 10);
    assert_contains(metrics(w), "fairlead_hub_devices{state=\"expected\"} 450\n");
    /* It is counted again, but not at once, and not when nobody looks any more. */
    hub_call(w, "POST", "/api/v1/devices", "", "{\"id\":\"one-more\",\"profile\":\"camera\"}");
    (void)fl_metrics_tick(&w->hub);
    assert_contains(metrics(w), "fairlead_hub_devices{state=\"expected\"} 450\n");
    w->monotonic += FL_METRICS_CENSUS_MS;
    while (fl_metrics_tick(&w->hub))
        ;
    assert_contains(metrics(w), "fairlead_hub_devices{state=\"expected\"} 451\n");
    w->monotonic += FL_METRICS_WATCHED_MS + 1;
    assert_false(fl_metrics_tick(&w->hub));
}

/* Claims what `invitation` asks for. */
static void claim(struct hub_world *w, const char *invitation, char *credential, size_t size)
{
    char body[FL_LIMIT_TOKEN_TEXT + 64];

    hub_call(w, "POST", "/api/v1/principals", "", invitation);
    assert_int_equal(w->status, 201);
    (void)snprintf(body, sizeof body, "{\"name\":\"prometheus\",\"token\":\"%s\"}",
                   hub_text(w, "token"));
    hub_call_with(w, "", "POST", "/api/v1/principals/claim", body);
    assert_int_equal(w->status, 201);
    (void)fl_str_copy(credential, size, hub_text(w, "credential"));
}

static void a_credential_for_metrics_reads_metrics_and_nothing_else(void **state)
{
    struct hub_world *w = *state;
    char credential[128];

    hub_world_start(w);
    hub_call_with(w, "", "GET", "/metrics", "");
    assert_int_equal(w->status, 401);
    claim(w, "{\"name\":\"prometheus\",\"role\":\"metrics\"}", credential, sizeof credential);
    hub_call_with(w, credential, "GET", "/metrics", "");
    assert_int_equal(w->status, 200);
    hub_call_with(w, credential, "GET", "/api/v1/load", "");
    assert_int_equal(w->status, 200);
    for (const struct fl_api_route *r = fl_api_routes; r->method; r++) {
        char path[128];

        if (r->access != FL_API_CREDENTIAL)
            continue;
        (void)fl_str_copy(path, sizeof path, r->path);
        hub_call_with(w, credential, r->method, path, "");
        assert_int_equal(w->status, 403);
    }
    /* It lives longer than an administrator's, and not for ever. */
    w->now += (fl_time_t)FL_LIMIT_PRINCIPAL_S * 1000;
    hub_call_with(w, credential, "GET", "/metrics", "");
    assert_int_equal(w->status, 200);
    w->now += (fl_time_t)FL_LIMIT_PRINCIPAL_METRICS_S * 1000;
    hub_call_with(w, credential, "GET", "/metrics", "");
    assert_int_equal(w->status, 401);
    hub_call(w, "POST", "/api/v1/principals", "", "{\"name\":\"x\",\"role\":\"root\"}");
    assert_int_equal(w->status, 400);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        metrics_unit(what_the_front_says_is_shown_for_each_worker),
        metrics_unit(counters_that_cannot_be_are_not_taken),
        metrics_unit(the_hub_shows_what_it_has_and_does),
        metrics_unit(a_large_fleet_is_counted_in_steps_while_somebody_looks),
        metrics_unit(a_credential_for_metrics_reads_metrics_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
