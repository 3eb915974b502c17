/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "cli/cli.h"
#include "cli/login_store.h"

#include "base/limits.h"

#include <stdio.h>
#include <stdlib.h>

#define WORDS_MAX 16

/* Parses "fairlead ..." given as one text with blanks. */
static enum fl_error parse(const char *line, struct fl_cli *cli, struct fl_context *ctx)
{
    static char text[1024];
    char *argv[WORDS_MAX + 1] = {0};
    int argc = 0;
    char *rest = NULL;

    snprintf(text, sizeof text, "fairlead %s", line);
    for (char *word = strtok_r(text, " ", &rest); word && argc < WORDS_MAX;
         word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    *cli = (struct fl_cli){.out = stdout};
    *ctx = (struct fl_context){0};
    return fl_cli_parse(cli, argc, argv, ctx);
}

static void flags_may_stand_anywhere(void **state)
{
    static const char *const lines[] = {
        "--hub H device add cam-01 --profile camera --json",
        "device add cam-01 --profile camera --json --hub H",
        "device --json add --profile=camera --hub=H cam-01",
        "--json --hub H device add --profile camera -- cam-01",
    };
    (void)state;

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct fl_cli cli;
        struct fl_context ctx;
        assert_ok(parse(lines[i], &cli, &ctx));
        assert_string_equal(cli.verb->verb, "add");
        assert_string_equal(cli.hub, "H");
        assert_true(cli.json);
        assert_int_equal(cli.operand_count, 1);
        assert_string_equal(cli.operands[0], "cam-01");
        assert_string_equal(fl_cli_option(&cli, "profile"), "camera");
        assert_null(fl_cli_option(&cli, "site"));
    }
}

static void an_argument_that_may_be_left_out_does_not_swallow_an_operand(void **state)
{
    struct fl_cli cli;
    struct fl_context ctx;
    (void)state;

    assert_ok(parse("device add --profile p --qr cam-01", &cli, &ctx));
    assert_string_equal(fl_cli_option(&cli, "qr"), "");
    assert_string_equal(cli.operands[0], "cam-01");
    assert_ok(parse("device add --profile p --qr code.png cam-01", &cli, &ctx));
    assert_string_equal(fl_cli_option(&cli, "qr"), "code.png");
    assert_ok(parse("device add cam-01 --profile p --qr=odd", &cli, &ctx));
    assert_string_equal(fl_cli_option(&cli, "qr"), "odd");
}

static void mistakes_are_told_with_what_was_meant(void **state)
{
    static const struct {
        const char *line;
        const char *words;
    } cases[] = {
        {"", "no command given"},
        {"device", "no verb given"},
        {"devise list", "did you mean device?"},
        {"device lst", "did you mean list?"},
        {"device quar x", "did you mean quarantine?"},
        {"device list --jsno", "did you mean --json?"},
        {"device quarantine x --raeson y", "did you mean --reason?"},
        {"zzzzzzz", "zzzzzzz: no such command"},
        {"device show", "it needs ID"},
        {"device show a b", "\"b\" is one word too many"},
        {"device show a b c d e f", "too many words"},
        {"device add x", "--profile PROFILE is missing"},
        {"device add x --profile", "--profile needs an argument"},
        {"device add x --profile --json", "--profile needs an argument"},
        {"device add x --profile=", "--profile needs an argument"},
        {"device add x --profile a --profile b", "--profile is given twice"},
        {"device quarantine x --dry-run=yes", "takes no argument"},
        {"device list -j", "two dashes"},
        {"device list --x\x1b[2J", "\\x1b[2J"},
        {"--site x device add y", "--site: no such option"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fl_cli cli;
        struct fl_context ctx;
        assert_int_equal(parse(cases[i].line, &cli, &ctx), FL_EINVAL);
        assert_true(cli.usage);
        assert_contains(ctx.text, cases[i].words);
    }
}

static void help_needs_nothing_else_to_be_right(void **state)
{
    struct fl_cli cli;
    struct fl_context ctx;
    (void)state;

    assert_ok(parse("--help", &cli, &ctx));
    assert_ok(parse("device --help", &cli, &ctx));
    assert_ok(parse("device add --help", &cli, &ctx));
    assert_true(cli.help);
    assert_ok(parse("device add -h", &cli, &ctx));
    assert_true(cli.help);
}

static void every_verb_is_complete_and_its_help_names_it(void **state)
{
    (void)state;
    for (size_t n = 0; n < fl_cli_noun_count; n++) {
        const struct fl_cli_noun *noun = &fl_cli_nouns[n];
        struct fl_buffer help = FL_BUFFER(65536);
        fl_cli_help_noun(noun, &help);
        assert_false(help.failed);
        assert_ptr_equal(fl_cli_find_noun(noun->name), noun);
        for (size_t v = 0; v < noun->verbs->count; v++) {
            const struct fl_cli_verb *verb = &noun->verbs->items[v];
            assert_string_equal(verb->noun, noun->name);
            assert_non_null(verb->operands);
            assert_true(strlen(verb->summary) <= 72);
            assert_true(!verb->run != !verb->raw);
            assert_ptr_equal(fl_cli_find_verb(noun, verb->verb), verb);
            if (verb->verb)
                assert_contains(fl_buffer_str(&help), verb->verb);
            fl_buffer_clear(&help);
            fl_cli_help_verb(verb, &help);
            for (size_t i = 0; verb->options && verb->options[i].name; i++) {
                assert_true(i < FL_CLI_OPTIONS_MAX);
                assert_contains(fl_buffer_str(&help), verb->options[i].name);
            }
            fl_buffer_clear(&help);
            fl_cli_help_noun(noun, &help);
        }
        fl_buffer_free(&help);
    }
}

static void the_overview_is_one_screen(void **state)
{
    struct fl_buffer help = FL_BUFFER(65536);
    struct fl_slice rest;
    struct fl_slice line;
    size_t lines = 0;
    (void)state;

    fl_cli_help(&help);
    rest = fl_buffer_slice(&help);
    while (fl_slice_cut(&rest, '\n', &line)) {
        assert_true(line.size <= 90);
        lines++;
    }
    assert_true(lines <= 30);
    fl_buffer_free(&help);
}

static void durations_numbers_and_moments_are_judged_with_words(void **state)
{
    struct fl_cli cli;
    struct fl_context ctx;
    int64_t seconds = 7;
    uint64_t number = 7;
    fl_time_t moment = 7;
    (void)state;

    assert_ok(parse("device quarantine x --for 1h30m", &cli, &ctx));
    assert_ok(fl_cli_seconds(&cli, "for", FL_LIMIT_ACTION_S, &seconds, &ctx));
    assert_int_equal(seconds, 5400);
    for (size_t i = 0; i < 5; i++) {
        static const char *const lines[] = {
            "device quarantine x --for 90", "device quarantine x --for 0s",
            "device quarantine x --for 366d", "device quarantine x --for 1500ms",
            "device quarantine x --for soon"};
        assert_ok(parse(lines[i], &cli, &ctx));
        assert_int_equal(fl_cli_seconds(&cli, "for", FL_LIMIT_ACTION_S, &seconds, &ctx), FL_EINVAL);
        assert_contains(ctx.text, "--for");
        assert_true(cli.usage);
    }
    assert_ok(parse("reading show x --limit 10 --since 15m", &cli, &ctx));
    assert_ok(fl_cli_number(&cli, "limit", 100, &number, &ctx));
    assert_int_equal(number, 10);
    assert_int_equal(fl_cli_number(&cli, "limit", 9, &number, &ctx), FL_EINVAL);
    assert_ok(fl_cli_moment(&cli, "since", 1000000, &moment, &ctx));
    assert_int_equal(moment, 100000);
    assert_ok(parse("reading show x --since 2026-11-22T07:00:00Z", &cli, &ctx));
    assert_ok(fl_cli_moment(&cli, "since", 0, &moment, &ctx));
    assert_int_equal(moment, 1795330800000);
    assert_ok(parse("reading show x --since yesterday --limit -1", &cli, &ctx));
    assert_int_equal(fl_cli_moment(&cli, "since", 0, &moment, &ctx), FL_EINVAL);
    assert_int_equal(fl_cli_number(&cli, "limit", 9, &number, &ctx), FL_EINVAL);
}

static void a_hubs_address_has_one_form(void **state)
{
    static const char *const forms[][2] = {
        {"https://Hub.Example", "https://hub.example:8443"},
        {"HTTPS://hub:443/", "https://hub:443"},
        {"https://[2001:DB8::1]", "https://[2001:db8::1]:8443"},
        {"https://[::1]:9", "https://[::1]:9"},
        {"https://127.0.0.1:8443", "https://127.0.0.1:8443"},
    };
    static const char *const bad[] = {
        "http://hub",        "https://",     "https:///",   "https://hub:0",
        "https://hub:65536", "https://h/x",  "https://::1", "https://u@h",
        "https://../../x",   "https://[::1", "https://h:",
    };
    char url[FL_LIMIT_HOST + 32];
    char host[600];
    struct fl_context ctx;
    (void)state;

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        assert_ok(fl_login_url(forms[i][0], url, &ctx));
        assert_string_equal(url, forms[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(fl_login_url(bad[i], url, &ctx), FL_EINVAL);
    memset(host, 'a', sizeof host);
    memcpy(host, "https://", 8);
    host[sizeof host - 1] = 0;
    assert_int_equal(fl_login_url(host, url, &ctx), FL_EINVAL);
}

static void credentials_are_private_and_found_again(void **state)
{
    char folder[] = "/tmp/fl-login-XXXXXX";
    char command[128];
    struct fl_login login = {.url = "https://hub:8443",
                             .name = "ann",
                             .credential = "secret",
                             .expires = "2027-01-01T00:00:00Z",
                             .ca_pem = "-----BEGIN\nx\n"};
    struct fl_login loaded;
    struct fl_context ctx = {0};
    (void)state;

    assert_non_null(mkdtemp(folder));
    setenv("XDG_CONFIG_HOME", folder, 1);
    assert_int_equal(fl_login_only(&loaded, &ctx), FL_ENOTFOUND);
    assert_int_equal(fl_login_load("https://hub:8443", &loaded, &ctx), FL_ENOTFOUND);
    assert_ok(fl_login_save(&login, &ctx));
    assert_ok(fl_login_load("https://hub:8443", &loaded, &ctx));
    assert_string_equal(loaded.credential, "secret");
    assert_string_equal(loaded.ca_pem, login.ca_pem);
    assert_ok(fl_login_only(&loaded, &ctx));
    assert_string_equal(loaded.name, "ann");
    snprintf(command, sizeof command, "chmod 644 %s/fairlead/hubs/hub_8443.json", folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(fl_login_load("https://hub:8443", &loaded, &ctx), FL_EDENIED);
    assert_contains(ctx.text, "others can read this credential");
    snprintf(command, sizeof command, "chmod 600 %s/fairlead/hubs/hub_8443.json", folder);
    assert_int_equal(system(command), 0);
    snprintf(login.url, sizeof login.url, "https://other:8443");
    assert_ok(fl_login_save(&login, &ctx));
    assert_int_equal(fl_login_only(&loaded, &ctx), FL_EBUSY);
    assert_contains(ctx.text, "other_8443");
    snprintf(command, sizeof command, "echo '{' > %s/fairlead/hubs/hub_8443.json", folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(fl_login_load("https://hub:8443", &loaded, &ctx), FL_EPARSE);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_may_stand_anywhere),
        cmocka_unit_test(an_argument_that_may_be_left_out_does_not_swallow_an_operand),
        cmocka_unit_test(mistakes_are_told_with_what_was_meant),
        cmocka_unit_test(help_needs_nothing_else_to_be_right),
        cmocka_unit_test(every_verb_is_complete_and_its_help_names_it),
        cmocka_unit_test(the_overview_is_one_screen),
        cmocka_unit_test(durations_numbers_and_moments_are_judged_with_words),
        cmocka_unit_test(a_hubs_address_has_one_form),
        cmocka_unit_test(credentials_are_private_and_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
