/* SPDX-License-Identifier: Apache-2.0
 * What the front keeps of OCSP, and for how long. Who asks by HTTP is in system/status_test.py. */
#include "test/unit/pki.h"

#include "front/status.h"

struct world {
    struct pki pki;
    struct fl_loop *loop;
    struct fl_clock clock;
    fl_time_t now;
    struct fl_link link;
    struct fl_pending pending;
    struct fl_status status;
};

static fl_time_t clock_now(void *self)
{
    return ((struct world *)self)->now;
}

static bool hub_is_away(void *self, const struct fl_msg *msg)
{
    (void)self;
    (void)msg;
    return false;
}

static int set_up(void **state)
{
    static struct world w;

    w = (struct world){.now = PKI_NOW};
    pki_make(&w.pki);
    assert_ok(fl_loop_create(&w.loop, NULL));
    w.clock = (struct fl_clock){.now = clock_now, .monotonic = clock_now, .self = &w};
    w.link = (struct fl_link){.send = hub_is_away, .self = &w};
    fl_pending_init(&w.pending, w.loop);
    fl_status_init(&w.status, w.loop, &w.clock, &w.link, &w.pending);
    assert_ok(fl_status_config(&w.status, fl_buffer_slice(&w.pki.issuing_der), NULL));
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    fl_status_free(&w->status);
    fl_pending_free(&w->pending);
    fl_loop_free(w->loop);
    pki_free(&w->pki);
    return 0;
}

static struct fl_ocsp_question question(uint32_t number, bool sha256)
{
    struct fl_ocsp_question q = {.sha256 = sha256, .count = 1, .serials_size = 5};

    q.serials[0] = 4;
    q.serials[1] = 0x40 | (uint8_t)(number >> 24);
    q.serials[2] = (uint8_t)(number >> 16);
    q.serials[3] = (uint8_t)(number >> 8);
    q.serials[4] = (uint8_t)number;
    return q;
}

static void hub_says(struct world *w, const struct fl_ocsp_question *q, const char *response)
{
    struct fl_msg_ocsp_answer answer = {.request = 99999,
                                        .sha256 = q->sha256,
                                        .serials = fl_slice(q->serials, q->serials_size),
                                        .keep = 1,
                                        .response = fl_slice_str(response),
                                        .this_update = w->now,
                                        .next_update = w->now + 3600000};

    fl_status_answer(&w->status, &answer);
}

static bool is_kept(struct world *w, const struct fl_ocsp_question *q, const char *response)
{
    return fl_slice_is(fl_status_kept(&w->status, q), response);
}

static void an_answer_serves_others_for_half_its_time(void **state)
{
    struct world *w = *state;
    struct fl_ocsp_question q = question(1, true);
    struct fl_ocsp_question other = question(1, false);

    hub_says(w, &q, "good");
    assert_true(is_kept(w, &q, "good"));
    assert_false(is_kept(w, &other, "good")); /* it names the authority in another way */
    w->now += 1800000 - 1;
    assert_true(is_kept(w, &q, "good"));
    w->now += 1;
    assert_false(is_kept(w, &q, "good"));
    assert_int_equal(w->status.responses.count, 0);
}

static void what_the_hub_takes_back_is_gone_for_both_hashes(void **state)
{
    struct world *w = *state;
    struct fl_ocsp_question a = question(1, true);
    struct fl_ocsp_question b = question(1, false);
    struct fl_ocsp_question c = question(2, false);

    hub_says(w, &a, "good");
    hub_says(w, &b, "good");
    hub_says(w, &c, "good");
    hub_says(w, &c, "revoked");
    assert_int_equal(w->status.responses.count, 3);
    assert_ok(fl_status_drop(&w->status, fl_slice(a.serials, a.serials_size)));
    assert_int_equal(w->status.responses.count, 1);
    assert_true(is_kept(w, &c, "revoked"));
    assert_int_equal(fl_status_drop(&w->status, fl_slice("\5\1", 2)), FL_EPARSE);
    assert_int_equal(fl_status_drop(&w->status, fl_slice("\x20\1", 2)), FL_EPARSE);
    assert_ok(fl_status_drop(&w->status, fl_slice(NULL, 0))); /* all */
    assert_int_equal(w->status.responses.count, 0);
}

static void a_new_snapshot_forgets_all(void **state)
{
    struct world *w = *state;
    struct fl_ocsp_question q = question(1, true);

    hub_says(w, &q, "good");
    assert_ok(fl_status_config(&w->status, fl_buffer_slice(&w->pki.issuing_der), NULL));
    assert_int_equal(w->status.responses.count, 0);
    assert_int_equal(fl_status_config(&w->status, fl_slice_str("none"), NULL), FL_EPARSE);
}

static void what_is_kept_is_bounded_and_what_is_asked_for_stays(void **state)
{
    struct world *w = *state;
    struct fl_ocsp_question first = question(0, true);
    struct fl_ocsp_question second = question(1, true);

    for (uint32_t i = 0; i < FL_LIMIT_OCSP_CACHE; i++) {
        struct fl_ocsp_question q = question(i, true);

        hub_says(w, &q, "good");
    }
    assert_true(is_kept(w, &first, "good"));
    for (uint32_t i = 0; i < 100; i++) {
        struct fl_ocsp_question q = question(FL_LIMIT_OCSP_CACHE + i, true);

        hub_says(w, &q, "good");
    }
    assert_int_equal(w->status.responses.count, FL_LIMIT_OCSP_CACHE);
    assert_true(is_kept(w, &first, "good"));
    assert_false(is_kept(w, &second, "good"));
}

static void a_list_comes_in_parts_and_is_there_when_it_is_whole(void **state)
{
    struct world *w = *state;
    struct fl_msg_crl end = {.number = 3};

    assert_int_equal(fl_status_list(&w->status, &end), FL_EINVAL);
    assert_ok(fl_status_part(&w->status, fl_slice_str("one ")));
    fl_status_hub_away(&w->status); /* in the middle */
    assert_ok(fl_status_part(&w->status, fl_slice_str("another ")));
    assert_int_equal(w->status.list.size, 0);
    assert_ok(fl_status_part(&w->status, fl_slice_str("list")));
    assert_ok(fl_status_list(&w->status, &end));
    assert_slice_equal(fl_buffer_slice(&w->status.list), "another list");
    assert_int_equal(w->status.number, 3);
    assert_ok(fl_status_part(&w->status, fl_slice_str("next")));
    assert_ok(fl_status_list(&w->status, &end));
    assert_slice_equal(fl_buffer_slice(&w->status.list), "next");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_serves_others_for_half_its_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_the_hub_takes_back_is_gone_for_both_hashes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_new_snapshot_forgets_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_kept_is_bounded_and_what_is_asked_for_stays, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_list_comes_in_parts_and_is_there_when_it_is_whole, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
