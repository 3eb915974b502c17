/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "cli/init.h"
#include "cli/init_dir.h"
#include "cli/init_key.h"
#include "cli/init_make.h"
#include "cli/shipped.h"
#include "io/clock.h"
#include "trust/datakey.h"
#include "trust/profile_sign.h"
#include "trust/token_check.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char base[] = "/tmp/fl-init-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(base));
    return 0;
}

static int tear_down(void **state)
{
    char command[64];
    (void)state;

    (void)snprintf(command, sizeof command, "rm -rf %s", base);
    return system(command);
}

static const char *at(const char *name)
{
    static char path[4][256];
    static size_t next;

    next = (next + 1) % 4;
    (void)snprintf(path[next], sizeof path[next], "%s/%s", base, name);
    return path[next];
}

static size_t entries(const char *path)
{
    DIR *folder = opendir(path);
    size_t count = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count - 2; /* . and .. */
}

static unsigned mode_of(const char *name)
{
    struct stat stat = {0};

    assert_int_equal(lstat(at(name), &stat), 0);
    return stat.st_mode & 07777U;
}

static struct fl_buffer contents(const char *name)
{
    struct fl_buffer text = FL_BUFFER(1 << 20);
    FILE *file = fopen(at(name), "r");
    uint8_t bytes[4096];
    size_t size = 0;

    assert_non_null(file);
    while ((size = fread(bytes, 1, sizeof bytes, file)) > 0)
        assert_ok(fl_buffer_append(&text, bytes, size));
    assert_int_equal(fclose(file), 0);
    return text;
}

static enum fl_error make(const char *name, const char *passphrase, struct fl_init_result *result,
                          struct fl_context *ctx)
{
    const struct fl_init_options options = {.hosts = {"hub.example.net", "192.0.2.10"},
                                            .host_count = 2,
                                            .mqtt_port = 18883,
                                            .https_port = 18443,
                                            .root_passphrase = passphrase};

    return fl_init_make(at(name), &options, fl_clock_system(), fl_random_system(), result, ctx);
}

static void a_new_hub_has_its_files_and_nobody_else_reads_its_secrets(void **state)
{
    static const struct {
        const char *name;
        unsigned mode;
    } files[] = {
        {"a", 0755},
        {"a/hub.conf", 0644},
        {"a/ca.pem", 0644},
        {"a/profile-keys.pem", 0644},
        {"a/keys", 0700},
        {"a/keys/issuing.key", 0600},
        {"a/keys/data.key", 0600},
        {"a/keys/device-keys", 0600},
        {"a/keys/root.key", 0600},
        {"a/keys/issuing.pem", 0644},
        {"a/keys/root.pem", 0644},
        {"a/operator", 0700},
        {"a/operator/profile.key", 0600},
        {"a/state", 0700},
        {"a/state/first-admin", 0600},
        {"a/run", 0755},
        {"a/profiles", 0755},
        {"a/profiles/camera.profile", 0644},
        {"a/profiles/meter.profile", 0644},
        {"a/profiles/thermostat.profile", 0644},
    };
    struct fl_init_result result;
    mode_t before = umask(0);
    (void)state;

    assert_ok(make("a", NULL, &result, NULL));
    (void)umask(before);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        assert_int_equal(mode_of(files[i].name), files[i].mode);
    assert_int_equal(entries(base), 1);
    assert_int_equal(entries(at("a")), 9);
    assert_string_equal(result.place, at("a"));
}

static void the_token_claims_what_first_admin_remembers(void **state)
{
    struct fl_buffer text = contents("a/state/first-admin");
    struct fl_init_result result;
    struct fl_token token;
    struct fl_token_record record = {.kind = FL_TOKEN_PRINCIPAL};
    json_t *json = NULL;
    size_t size = 0;
    (void)state;

    fl_buffer_free(&text);
    assert_ok(make("t", NULL, &result, NULL));
    text = contents("t/state/first-admin");
    json = json_loads(fl_buffer_str(&text), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_int_equal(json_object_size(json), 3);
    (void)fl_str_copy(record.id, sizeof record.id,
                      json_string_value(json_object_get(json, "name")));
    assert_ok(fl_unhex(record.sha256, sizeof record.sha256,
                       fl_slice_str(json_string_value(json_object_get(json, "sha256"))), &size));
    assert_ok(fl_time_parse(fl_slice_str(json_string_value(json_object_get(json, "expires"))),
                            &record.expires));
    assert_ok(fl_token_decode(fl_slice_str(result.token), &token, NULL));
    assert_int_equal(token.expires, record.expires);
    assert_string_equal(token.host, "hub.example.net");
    assert_int_equal(token.https_port, 18443);
    assert_ok(fl_token_check(&record, &token, FL_TOKEN_PRINCIPAL, fl_slice_str("admin"),
                             record.expires - 1, NULL));
    json_decref(json);
    fl_buffer_free(&text);
}

static void the_shipped_profiles_verify_with_the_hubs_own_key(void **state)
{
    struct fl_buffer pem = contents("a/profile-keys.pem");
    struct fl_profile_keys keys;
    (void)state;

    assert_ok(fl_profile_keys_load(fl_buffer_slice(&pem), &keys, NULL));
    for (size_t i = 0; i < fl_shipped_profile_count; i++) {
        char name[64];
        struct fl_profile profile;
        struct fl_buffer text;
        struct fl_context ctx = {0};

        (void)snprintf(name, sizeof name, "a/profiles/%s", fl_shipped_profiles[i].file);
        text = contents(name);
        if (fl_profile_parse(fl_buffer_slice(&text), name, &profile, &ctx) != FL_OK)
            fail_msg("%s", ctx.text);
        assert_ok(fl_profile_verify(&profile, &keys, &ctx));
        fl_profile_free(&profile);
        fl_buffer_free(&text);
    }
    fl_profile_keys_free(&keys);
    fl_buffer_free(&pem);
}

static void a_sealed_root_key_opens_with_its_passphrase_only(void **state)
{
    struct fl_init_result result;
    struct fl_buffer pem;
    EVP_PKEY *key = NULL;
    (void)state;

    assert_ok(make("sealed", "correct horse", &result, NULL));
    pem = contents("sealed/keys/root.key");
    assert_int_equal(fl_key_from_pem(fl_buffer_slice(&pem), NULL, &key, NULL), FL_EAUTH);
    assert_ok(fl_key_from_pem(fl_buffer_slice(&pem), "correct horse", &key, NULL));
    EVP_PKEY_free(key);
    fl_buffer_free(&pem);
}

static void nothing_is_ever_overwritten(void **state)
{
    struct fl_init_result result;
    struct fl_context ctx = {0};
    struct fl_buffer before = contents("a/keys/root.key");
    struct fl_buffer after;
    size_t count = entries(base);
    FILE *file = fopen(at("file"), "w");
    (void)state;

    assert_int_equal(fclose(file), 0);
    assert_int_equal(make("a", NULL, &result, &ctx), FL_EEXISTS);
    assert_contains(ctx.text, "nothing is ever overwritten");
    assert_int_equal(make("file", NULL, &result, &ctx), FL_EEXISTS);
    assert_int_equal(result.token[0], 0);
    after = contents("a/keys/root.key");
    assert_true(fl_slice_equal(fl_buffer_slice(&before), fl_buffer_slice(&after)));
    assert_int_equal(entries(base), count + 1);
    assert_int_equal(unlink(at("file")), 0);
    fl_buffer_free(&after);
    fl_buffer_free(&before);
}

static void an_empty_folder_is_filled_in_place(void **state)
{
    struct fl_init_result result;
    struct stat before = {0};
    struct stat after = {0};
    (void)state;

    assert_int_equal(mkdir(at("empty"), 0750), 0);
    assert_int_equal(stat(at("empty"), &before), 0);
    assert_ok(make("empty", NULL, &result, NULL));
    assert_int_equal(stat(at("empty"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(after.st_mode & 0777U, 0750);
    assert_int_equal(entries(at("empty")), 9);
}

static void a_folder_that_cannot_be_made_leaves_nothing_behind(void **state)
{
    struct fl_init_result result;
    struct fl_context ctx = {0};
    size_t count = entries(base);
    char longest[5000];
    (void)state;

    assert_int_equal(make("missing/a", NULL, &result, &ctx), FL_ENOTFOUND);
    assert_int_equal(make("missing/..", NULL, &result, &ctx), FL_ENOTFOUND);
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = 0;
    assert_int_equal(fl_init_make(longest,
                                  &(struct fl_init_options){.hosts = {"a"}, .host_count = 1},
                                  fl_clock_system(), fl_random_system(), &result, &ctx),
                     FL_EIO);
    memset(longest, '/', sizeof longest - 1);
    assert_int_equal(fl_init_make(longest,
                                  &(struct fl_init_options){.hosts = {"a"}, .host_count = 1},
                                  fl_clock_system(), fl_random_system(), &result, &ctx),
                     FL_EEXISTS); /* the root folder */
    assert_int_equal(fl_init_make("", &(struct fl_init_options){.hosts = {"a"}, .host_count = 1},
                                  fl_clock_system(), fl_random_system(), &result, &ctx),
                     FL_EINVAL);
    assert_int_equal(entries(base), count);
}

/* A name that does not fit where it goes, found out when most is made. */
static void a_failure_half_way_leaves_nothing_behind(void **state)
{
    struct fl_init_options options = {
        .hosts = {"not a host"}, .host_count = 1, .mqtt_port = 1, .https_port = 2};
    struct fl_init_result result;
    struct fl_context ctx = {0};
    size_t count = entries(base);
    (void)state;

    assert_int_equal(
        fl_init_make(at("half"), &options, fl_clock_system(), fl_random_system(), &result, &ctx),
        FL_EINVAL);
    assert_int_equal(entries(base), count);
    assert_int_equal(mkdir(at("half"), 0755), 0);
    assert_int_equal(
        fl_init_make(at("half"), &options, fl_clock_system(), fl_random_system(), &result, &ctx),
        FL_EINVAL);
    assert_int_equal(entries(at("half")), 0);
}

static int call(const char *first, const char *second, const char *third)
{
    char words[4][512] = {"init"};
    char *argv[] = {words[0], words[1], words[2], words[3], NULL};
    int argc = 1;

    if (first)
        (void)fl_str_copy(words[argc++], sizeof words[0], first);
    if (second)
        (void)fl_str_copy(words[argc++], sizeof words[0], second);
    if (third)
        (void)fl_str_copy(words[argc++], sizeof words[0], third);
    argv[argc] = NULL;
    return fl_cli_init(argc, argv);
}

static void what_is_wrongly_typed_is_told_and_makes_nothing(void **state)
{
    size_t count = entries(base);
    const char *dir = at("typed");
    (void)state;

    assert_int_equal(call(NULL, NULL, NULL), 2);
    assert_int_equal(call(dir, "second", NULL), 2);
    assert_int_equal(call(dir, "--host", "a b"), 2);
    assert_int_equal(call(dir, "--host", "a,,b"), 2);
    assert_int_equal(call(dir, "--host", ""), 2);
    assert_int_equal(call(dir, "--host", "*.a"), 2);
    assert_int_equal(call(dir, "--host", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"), 2);
    assert_int_equal(call(dir, "--mqtt-port", "0"), 2);
    assert_int_equal(call(dir, "--mqtt-port", "65536"), 2);
    assert_int_equal(call(dir, "--https-port", "8443x"), 2);
    assert_int_equal(call(dir, "--https-port", "8883"), 2);
    assert_int_equal(call(dir, "--https-port", NULL), 2);
    assert_int_equal(call(dir, "--no-such", NULL), 2);
    assert_int_equal(call(dir, "--root-passphrase-file", at("no-file")), 1);
    assert_int_equal(call("--help", NULL, NULL), 0);
    assert_int_equal(entries(base), count);
}

static void a_passphrase_file_is_read_and_judged(void **state)
{
    FILE *file = fopen(at("short"), "w");
    struct fl_buffer pem;
    EVP_PKEY *key = NULL;
    (void)state;

    assert_true(fputs("1234567\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(call(at("weak"), "--root-passphrase-file", at("short")), 1);
    file = fopen(at("good"), "w");
    assert_true(fputs("12345678\r\nmore\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(call(at("strong"), "--root-passphrase-file", at("good")), 0);
    pem = contents("strong/keys/root.key");
    assert_ok(fl_key_from_pem(fl_buffer_slice(&pem), "12345678", &key, NULL));
    EVP_PKEY_free(key);
    fl_buffer_free(&pem);
}

static void an_older_hub_gets_its_data_key_once(void **state)
{
    struct fl_init_result result;
    struct fl_context ctx = {0};
    struct fl_buffer before;
    struct fl_buffer after;
    uint8_t key[FL_DATAKEY_SIZE];
    (void)state;

    assert_ok(make("older", NULL, &result, NULL));
    assert_int_equal(unlink(at("older/keys/data.key")), 0);
    assert_int_equal(unlink(at("older/keys/device-keys")), 0);
    assert_int_equal(call("--add-data-key", at("older"), "--json"), 0);
    assert_int_equal(mode_of("older/keys/data.key"), 0600);
    assert_int_equal(mode_of("older/keys/device-keys"), 0600);
    assert_int_equal(entries(at("older/keys")), 7);
    before = contents("older/keys/data.key");
    assert_ok(fl_datakey_from_pem(fl_buffer_slice(&before), key, &ctx));
    assert_int_equal(call("--add-data-key", at("older"), NULL), 1);
    after = contents("older/keys/data.key");
    assert_true(fl_slice_equal(fl_buffer_slice(&before), fl_buffer_slice(&after)));
    fl_buffer_free(&before);
    fl_buffer_free(&after);
}

static void a_lost_data_key_is_not_replaced(void **state)
{
    struct fl_init_result result;
    struct fl_context ctx = {0};
    FILE *file = NULL;
    (void)state;

    assert_ok(make("lost", NULL, &result, NULL));
    assert_int_equal(rename(at("lost/keys/data.key"), at("lost/keys/device-keys")), 0);
    assert_int_equal(fl_init_add_data_key(at("lost"), fl_random_system(), &ctx), FL_EEXISTS);
    assert_contains(ctx.text, "restore keys/data.key from a backup");
    assert_int_equal(unlink(at("lost/keys/device-keys")), 0);
    file = fopen(at("lost/keys/.data.key.new"), "w"); /* of a run that was cut short */
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_ok(fl_init_add_data_key(at("lost"), fl_random_system(), &ctx));
    assert_int_equal(entries(at("lost/keys")), 7);
    assert_int_equal(fl_init_add_data_key(base, fl_random_system(), &ctx), FL_ENOTFOUND);
    assert_int_equal(call("--add-data-key", at("lost"), "--host"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_hub_has_its_files_and_nobody_else_reads_its_secrets),
        cmocka_unit_test(the_token_claims_what_first_admin_remembers),
        cmocka_unit_test(the_shipped_profiles_verify_with_the_hubs_own_key),
        cmocka_unit_test(a_sealed_root_key_opens_with_its_passphrase_only),
        cmocka_unit_test(nothing_is_ever_overwritten),
        cmocka_unit_test(an_empty_folder_is_filled_in_place),
        cmocka_unit_test(a_folder_that_cannot_be_made_leaves_nothing_behind),
        cmocka_unit_test(a_failure_half_way_leaves_nothing_behind),
        cmocka_unit_test(what_is_wrongly_typed_is_told_and_makes_nothing),
        cmocka_unit_test(a_passphrase_file_is_read_and_judged),
        cmocka_unit_test(an_older_hub_gets_its_data_key_once),
        cmocka_unit_test(a_lost_data_key_is_not_replaced),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
