/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "hub/config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fl_hub_config config;
static struct fl_context ctx;

static enum fl_error parse(const char *text)
{
    ctx.text[0] = 0;
    return fl_hub_config_parse(fl_slice_str(text), "hub.conf", &config, &ctx);
}

static void refused(const char *text, const char *why)
{
    assert_int_equal(parse(text), FL_EPARSE);
    assert_contains(ctx.text, why);
}

static void full_file_is_understood(void **state)
{
    char hosts[64];

    (void)state;
    assert_ok(parse("# my hub\nhost hub.example.net 192.0.2.10 2001:db8::10\n"
                    "mqtt 192.0.2.10 1883\nhttps :: 443\nlog debug\nworkers 3\n"));
    assert_int_equal(config.host_count, 3);
    assert_string_equal(config.hosts[0], "hub.example.net");
    assert_string_equal(config.mqtt.address, "192.0.2.10");
    assert_int_equal(config.mqtt.port, 1883);
    assert_string_equal(config.https.address, "::");
    assert_int_equal(config.https.port, 443);
    assert_int_equal(config.log, FL_LOG_DEBUG);
    assert_int_equal(config.workers, 3);
    assert_false(config.loopback);
    fl_hub_config_hosts(&config, hosts, sizeof hosts);
    assert_string_equal(hosts, "hub.example.net 192.0.2.10 2001:db8::10");
}

static void what_is_left_out_has_a_default(void **state)
{
    (void)state;
    assert_ok(parse("host localhost"));
    assert_int_equal(config.mqtt.port, 8883);
    assert_int_equal(config.https.port, 8443);
    assert_string_equal(config.mqtt.address, "");
    assert_int_equal(config.log, FL_LOG_INFO);
    assert_in_range(config.workers, 1, FL_LIMIT_WORKERS_AUTO);
}

static void loopback_is_recognised(void **state)
{
    (void)state;
    assert_ok(parse("host localhost 127.0.0.1 127.1.2.3 ::1"));
    assert_true(config.loopback);
    assert_ok(parse("host localhost hub.example.net"));
    assert_false(config.loopback);
    assert_ok(parse("host ::2"));
    assert_false(config.loopback);
}

static void bad_hosts_are_refused_at_their_column(void **state)
{
    static const char *const bad[] = {"host a hub:8883", "host a -hub",       "host a hub-",
                                      "host a hub..net", "host a .net",       "host a net.",
                                      "host a 192.0.2",  "host a 10.0.0.256", "host a http://hub",
                                      "host a hub_1",    "host a \"\"",       "host a 2001:db8::g"};
    char name[300];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused(bad[i], "hub.conf:1:8: not a host name");
    (void)snprintf(name, sizeof name, "host a %0254d", 1);
    refused(name, "hub.conf:1:8: not a host name");
    (void)snprintf(name, sizeof name, "host a %064d.net", 1);
    refused(name, "hub.conf:1:8: not a host name");
    refused("host a b a", "hub.conf:1:10: host 'a' is there twice");
    refused("mqtt 1", "host");
}

static void number_of_hosts_is_bounded(void **state)
{
    char text[512] = "host";
    size_t used = 4;

    (void)state;
    for (int i = 0; i < FL_LIMIT_HOSTS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, " h%d", i);
    assert_ok(parse(text));
    assert_int_equal(config.host_count, FL_LIMIT_HOSTS);
    (void)snprintf(text + used, sizeof text - used, " more");
    assert_int_equal(parse(text), FL_EPARSE);
}

static void bad_listeners_are_refused(void **state)
{
    (void)state;
    refused("host a\nmqtt 0", "hub.conf:2:6");
    refused("host a\nhttps 0", "hub.conf:2:7");
    refused("host a\nmqtt 65536", "hub.conf:2:6");
    refused("host a\nmqtt eight", "hub.conf:2:6");
    refused("host a\nmqtt hub.example.net 8883", "hub.conf:2:6: not a numeric address");
    refused("host a\nmqtt 1 2 3", "hub.conf:2");
    refused("host a\nmqtt 8443", "mqtt and https both want port 8443");
    refused("host a\nmqtt 127.0.0.1 1\nhttps 1", "hub.conf:3:7: mqtt and https both want port 1");
    assert_ok(parse("host a\nmqtt 127.0.0.1 1\nhttps 127.0.0.2 1"));
    refused("host a\nstatus-listen 8883", "mqtt and status-listen both want port 8883");
    refused("host a\nstatus-listen 192.0.2.1 8443", "hub.conf:2:25: https and status-listen both");
}

static void the_status_listener_is_there_when_it_is_asked_for(void **state)
{
    (void)state;
    assert_ok(parse("host a"));
    assert_int_equal(config.status.port, 0);
    assert_ok(parse("host a\nstatus-listen 127.0.0.1 8080\nstatus-url http://a:8080"));
    assert_int_equal(config.status.port, 8080);
    assert_string_equal(config.status.address, "127.0.0.1");
    refused("host a\nstatus-listen nowhere 8080", "hub.conf:2:15");
    refused("host a\nstatus-url a:8080", "hub.conf:2:12: not such a URL");
}

static void unknown_words_are_refused(void **state)
{
    (void)state;
    refused("host a\nlog loud", "hub.conf:2:5: unknown level");
    refused("host a\nworkers 0", "hub.conf:2:9:");
    refused("host a\nworkers 65", "hub.conf:2:9:");
    refused("host a\nworkers many", "hub.conf:2:9:");
    refused("host a\nport 1", "hub.conf:2:1");
    refused("host a\nhost b", "hub.conf:2:1");
    refused("host a {\n}", "hub.conf:1");
}

static void renewal_after_the_end_is_off_unless_told(void **state)
{
    (void)state;
    assert_ok(parse("host a\n"));
    assert_int_equal(config.renew_expired_ms, 0);
    assert_ok(parse("host a\nrenew-expired off\n"));
    assert_int_equal(config.renew_expired_ms, 0);
    assert_ok(parse("host a\nrenew-expired 7d\n"));
    assert_int_equal(config.renew_expired_ms, (fl_time_t)7 * 86400 * 1000);
    refused("host a\nrenew-expired 59m", "hub.conf:2:15: write off, or a duration");
    refused("host a\nrenew-expired 91d", "hub.conf:2:15: write off, or a duration");
    refused("host a\nrenew-expired soon", "hub.conf:2:15");
}

static void durability_and_size_of_the_log_are_read(void **state)
{
    (void)state;
    assert_ok(parse("host a\n"));
    assert_false(config.durable_os);
    assert_int_equal(config.log_bytes, (uint64_t)4096 << 20);
    assert_ok(parse("host a\ndurability os\nlog-size 128\n"));
    assert_true(config.durable_os);
    assert_int_equal(config.log_bytes, (uint64_t)128 << 20);
    assert_ok(parse("host a\ndurability disk\nlog-size 1048576\n"));
    assert_false(config.durable_os);
    assert_int_equal(config.log_bytes, (uint64_t)1 << 40);
    refused("host a\ndurability maybe", "hub.conf:2:12: write disk");
    refused("host a\nlog-size 127", "hub.conf:2:10:");
    refused("host a\nlog-size 1048577", "hub.conf:2:10:");
}

static void file_errors_are_told_apart(void **state)
{
    char dir[] = "/tmp/fl_config_XXXXXX";
    char path[64];
    int fd = -1;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(fl_hub_config_read(dir, &config, &ctx), FL_ENOTFOUND);
    assert_contains(ctx.text, "fairlead init DIR");
    (void)snprintf(path, sizeof path, "%s/hub.conf", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(fl_hub_config_read(dir, &config, &ctx), FL_EIO);
    assert_contains(ctx.text, "Is a directory");
    (void)rmdir(path);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, FL_LIMIT_CONF_SIZE + 1), 0);
    assert_int_not_equal(fl_hub_config_read(dir, &config, &ctx), FL_OK);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(write(fd, "host a\n", 7), 7);
    assert_ok(fl_hub_config_read(dir, &config, &ctx));
    (void)close(fd);
    (void)unlink(path);
    (void)rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_file_is_understood),
        cmocka_unit_test(what_is_left_out_has_a_default),
        cmocka_unit_test(loopback_is_recognised),
        cmocka_unit_test(bad_hosts_are_refused_at_their_column),
        cmocka_unit_test(number_of_hosts_is_bounded),
        cmocka_unit_test(bad_listeners_are_refused),
        cmocka_unit_test(the_status_listener_is_there_when_it_is_asked_for),
        cmocka_unit_test(unknown_words_are_refused),
        cmocka_unit_test(renewal_after_the_end_is_off_unless_told),
        cmocka_unit_test(durability_and_size_of_the_log_are_read),
        cmocka_unit_test(file_errors_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
