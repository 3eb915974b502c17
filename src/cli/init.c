/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/init.h"

#include "cli/init_key.h"
#include "cli/init_make.h"
#include "cli/passphrase.h"
#include "cli/shipped.h"
#include "io/clock.h"
#include "trust/cert.h"

#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DONE = 0, FAILED = 1, WRONGLY_TYPED = 2 };

static const char usage[] =
    "usage: fairlead init DIR [--host NAME,...] [--mqtt-port N] [--https-port N]\n"
    "                         [--root-passphrase-file FILE] [--json]\n"
    "       fairlead init --add-data-key DIR [--json]\n";
static const char help[] =
    "\n"
    "Makes a hub directory: root and issuing authority, configuration, the shipped profiles\n"
    "(signed), and the first administrator's one-time token. DIR must not exist or be empty.\n"
    "\n"
    "  --host NAME,...              names and addresses under which devices reach the hub; the\n"
    "                               first goes into tokens (default: this machine's name,\n"
    "                               localhost, 127.0.0.1)\n"
    "  --mqtt-port N                port for MQTT over TLS (8883)\n"
    "  --https-port N               port for enrolment and the API (8443)\n"
    "  --root-passphrase-file FILE  seal keys/root.key with the passphrase in FILE's first line;\n"
    "                               - asks for it on the terminal\n"
    "  --add-data-key               make nothing but keys/data.key and keys/device-keys, for a\n"
    "                               hub of a version that had none; replaces none\n"
    "  --json                       print one JSON object\n"
    "  --help                       print this\n";

/* What was typed, and room for what it refers to. */
struct typed {
    const char *dir;
    const char *passphrase_source;
    bool json;
    bool add_data_key;
    bool has_options; /* that only make sense for a new hub */
    char host_text[FL_LIMIT_HOSTS][FL_LIMIT_HOST + 1];
    struct fl_init_options options;
};

static int wrong(const char *format, ...) FL_PRINTF(1, 2);

static int wrong(const char *format, ...)
{
    char text[512];
    char shown[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)fprintf(stderr, "fairlead: init: %s\n%s  see: fairlead init --help\n",
                  fl_str_printable(shown, sizeof shown, fl_slice_str(text)), usage);
    return WRONGLY_TYPED;
}

static bool add_host(struct typed *typed, struct fl_slice host)
{
    size_t count = typed->options.host_count;
    char *to = typed->host_text[count];

    if (memchr(host.data, 0, host.size) ||
        !fl_str_copy_slice(to, sizeof typed->host_text[0], host) || !fl_host_valid(to))
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(typed->options.hosts[i], to) == 0)
            return true;
    typed->options.hosts[count] = to;
    typed->options.host_count++;
    return true;
}

/* "a,b,c", and the option may be given several times. */
static int take_hosts(struct typed *typed, const char *text)
{
    struct fl_slice rest = fl_slice_str(text);
    bool more = true;

    while (more) {
        struct fl_slice host = {0};
        char shown[128];

        more = fl_slice_cut(&rest, ',', &host);
        if (typed->options.host_count == FL_LIMIT_HOSTS)
            return wrong("--host: more than %d names and addresses", FL_LIMIT_HOSTS);
        (void)fl_str_copy_slice(shown, sizeof shown, host);
        if (host.size == 0 || !add_host(typed, host))
            return wrong("--host '%s': neither a DNS name nor an address", shown);
    }
    return DONE;
}

static int take_port(const char *option, const char *text, uint16_t *port)
{
    uint64_t value = 0;

    if (fl_str_to_u64(fl_slice_str(text), UINT16_MAX, &value) != FL_OK || value == 0)
        return wrong("--%s '%s': a port is 1 to 65535", option, text);
    *port = (uint16_t)value;
    return DONE;
}

static void default_hosts(struct typed *typed)
{
    char name[FL_LIMIT_HOST + 1] = "";

    if (gethostname(name, sizeof name - 1) == 0 && name[0])
        (void)add_host(typed, fl_slice_str(name)); /* some machines' names are no DNS names */
    (void)add_host(typed, fl_slice_str("localhost"));
    (void)add_host(typed, fl_slice_str("127.0.0.1"));
}

enum {
    OPTION_HOST = 1000,
    OPTION_MQTT,
    OPTION_HTTPS,
    OPTION_PASSPHRASE,
    OPTION_DATA_KEY,
    OPTION_JSON,
    OPTION_HELP
};

static const struct option options[] = {
    {"host", required_argument, NULL, OPTION_HOST},
    {"mqtt-port", required_argument, NULL, OPTION_MQTT},
    {"https-port", required_argument, NULL, OPTION_HTTPS},
    {"root-passphrase-file", required_argument, NULL, OPTION_PASSPHRASE},
    {"add-data-key", no_argument, NULL, OPTION_DATA_KEY},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* -1: go on; else the exit code. */
static int parse(struct typed *typed, int argc, char **argv)
{
    int code = DONE;
    int found = 0;

    opterr = 0;
    optind = 0; /* glibc: start anew */
    while (code == DONE && (found = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        typed->has_options = typed->has_options || found < OPTION_DATA_KEY;
        switch (found) {
        case OPTION_HOST:
            code = take_hosts(typed, optarg);
            break;
        case OPTION_MQTT:
            code = take_port("mqtt-port", optarg, &typed->options.mqtt_port);
            break;
        case OPTION_HTTPS:
            code = take_port("https-port", optarg, &typed->options.https_port);
            break;
        case OPTION_PASSPHRASE:
            typed->passphrase_source = optarg;
            break;
        case OPTION_DATA_KEY:
            typed->add_data_key = true;
            break;
        case OPTION_JSON:
            typed->json = true;
            break;
        case OPTION_HELP:
            (void)printf("%s%s", usage, help);
            return DONE;
        case ':':
            return wrong("%s needs an argument", argv[optind - 1]);
        default:
            return wrong("%s: no such option", argv[optind - 1]);
        }
    }
    if (code != DONE)
        return code;
    if (optind + 1 != argc)
        return optind == argc ? wrong("which folder?")
                              : wrong("'%s': one folder only", argv[optind + 1]);
    typed->dir = argv[optind];
    if (typed->options.mqtt_port == typed->options.https_port)
        return wrong("--mqtt-port and --https-port must differ");
    if (typed->add_data_key && typed->has_options)
        return wrong("--add-data-key changes nothing else: no other option with it but --json");
    return -1;
}

static bool print_json(const struct typed *typed, const struct fl_init_result *result)
{
    char expires[FL_TIME_TEXT_MAX];
    json_t *hosts = json_array();
    json_t *profiles = json_array();
    json_t *object = NULL;
    bool done = false;

    for (size_t i = 0; i < typed->options.host_count; i++)
        (void)json_array_append_new(hosts, json_string(typed->options.hosts[i]));
    for (size_t i = 0; i < fl_shipped_profile_count; i++)
        (void)json_array_append_new(
            profiles,
            json_stringn(fl_shipped_profiles[i].file, strcspn(fl_shipped_profiles[i].file, ".")));
    object = json_pack("{s:s, s:o, s:i, s:i, s:s, s:b, s:o, s:s, s:s, s:s, s:s}", "dir",
                       result->place, "hosts", hosts, "mqtt_port", typed->options.mqtt_port,
                       "https_port", typed->options.https_port, "root_sha256", result->root_sha256,
                       "root_key_sealed", typed->passphrase_source != NULL, "profiles", profiles,
                       "profile_key", result->profile_key, "principal", FL_INIT_ADMIN, "token",
                       result->token, "expires", fl_time_format(result->token_expires, expires));
    done = object && json_dumpf(object, stdout, 0) == 0 && putchar('\n') != EOF;
    json_decref(object);
    return done;
}

static void print_root_key(const struct typed *typed, const struct fl_init_result *result)
{
    if (typed->passphrase_source)
        (void)printf("\nThe root key is sealed with your passphrase. Move it off this machine:\n"
                     "  %s/keys/root.key\n",
                     result->place);
    else
        (void)printf("\nTake the root key offline now. It is not sealed, and whoever has it can "
                     "pose as this hub.\n"
                     "It is needed again only to renew the issuing authority, in five years:\n"
                     "  %s/keys/root.key\n",
                     result->place);
}

static bool print_text(const struct typed *typed, const struct fl_init_result *result)
{
    char expires[FL_TIME_TEXT_MAX];

    (void)printf("Made a hub in %s\n\n  hosts     ", result->place);
    for (size_t i = 0; i < typed->options.host_count; i++)
        (void)printf("%s%s", i ? ", " : "", typed->options.hosts[i]);
    (void)printf("\n  ports     MQTT %u, HTTPS %u (both TLS)\n  root      SHA-256 %s\n  profiles  ",
                 typed->options.mqtt_port, typed->options.https_port, result->root_sha256);
    for (size_t i = 0; i < fl_shipped_profile_count; i++)
        (void)printf("%s%.*s", i ? ", " : "", (int)strcspn(fl_shipped_profiles[i].file, "."),
                     fl_shipped_profiles[i].file);
    (void)printf("\n\nNext:\n"
                 "  fairlead-hub %s\n"
                 "      runs it, in the foreground\n"
                 "  fairlead --hub %s device add cam-01 --profile camera\n"
                 "      on this machine, as the owner of the folder\n"
                 "  fairlead login --token %s\n"
                 "      makes you its administrator from any machine; good once, until %s\n",
                 result->place, result->place, result->token,
                 fl_time_format(result->token_expires, expires));
    print_root_key(typed, result);
    (void)printf("\nDevices will look for the hub at %s. If that is not its name for them, remove "
                 "the folder and\nuse --host.\n",
                 typed->options.hosts[0]);
    return ferror(stdout) == 0;
}

/* Half a hub is worse than none: signals wait until it is whole. */
static enum fl_error make(const struct typed *typed, struct fl_init_result *result,
                          struct fl_context *ctx)
{
    sigset_t waiting;
    sigset_t before;
    enum fl_error error = FL_OK;

    (void)sigemptyset(&waiting);
    (void)sigaddset(&waiting, SIGINT);
    (void)sigaddset(&waiting, SIGTERM);
    (void)sigaddset(&waiting, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &waiting, &before);
    error = fl_init_make(typed->dir, &typed->options, fl_clock_system(), fl_random_system(), result,
                         ctx);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return error;
}

static int run(struct typed *typed, struct fl_init_result *result)
{
    struct fl_passphrase passphrase = {0};
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;
    bool printed = false;

    if (typed->passphrase_source) {
        error = fl_passphrase_new(typed->passphrase_source, "the root key", &passphrase, &ctx);
        typed->options.root_passphrase = passphrase.text;
    }
    if (error == FL_OK) {
        error = make(typed, result, &ctx);
        (void)fl_fail_in(&ctx, error, "%s", typed->dir);
    }
    explicit_bzero(&passphrase, sizeof passphrase);
    typed->options.root_passphrase = NULL;
    if (error != FL_OK) {
        char shown[sizeof ctx.text];

        (void)fprintf(stderr, "fairlead: init: %s\n",
                      fl_str_printable(shown, sizeof shown, fl_slice_str(ctx.text)));
        return FAILED;
    }
    printed = typed->json ? print_json(typed, result) : print_text(typed, result);
    if (!printed || fflush(stdout) != 0) {
        /* The token is shown once and kept nowhere. */
        (void)fprintf(stderr,
                      "fairlead: init: %s was made, but its token could not be printed: remove it "
                      "and try again\n",
                      result->place);
        return FAILED;
    }
    return DONE;
}

static int add_data_key(const struct typed *typed)
{
    struct fl_context ctx = {0};
    enum fl_error error = fl_init_add_data_key(typed->dir, fl_random_system(), &ctx);
    json_t *object = NULL;
    bool printed = false;

    (void)fl_fail_in(&ctx, error, "%s", typed->dir);
    if (error != FL_OK) {
        char shown[sizeof ctx.text];

        (void)fprintf(stderr, "fairlead: init: %s\n",
                      fl_str_printable(shown, sizeof shown, fl_slice_str(ctx.text)));
        return FAILED;
    }
    if (typed->json) {
        object = json_pack("{s:s, s:s}", "dir", typed->dir, "data_key", "made");
        printed = object && json_dumpf(object, stdout, 0) == 0 && putchar('\n') != EOF;
        json_decref(object);
    } else {
        printed = printf("Made %s/keys/data.key. Start the hub anew, and keep a copy of the key "
                         "offline:\nwithout it nothing that the hub stores can be read again.\n",
                         typed->dir) > 0;
    }
    return printed && fflush(stdout) == 0 ? DONE : FAILED;
}

int fl_cli_init(int argc, char **argv)
{
    static struct typed typed; /* large, and one call only */
    static struct fl_init_result result;
    int code = DONE;

    typed = (struct typed){.options = {.mqtt_port = 8883, .https_port = 8443}};
    code = parse(&typed, argc, argv);
    if (code >= 0)
        return code;
    if (typed.add_data_key)
        return add_data_key(&typed);
    if (typed.options.host_count == 0)
        default_hosts(&typed);
    code = run(&typed, &result);
    explicit_bzero(&result, sizeof result);
    return code;
}
