/* SPDX-License-Identifier: Apache-2.0
 *
 * fairlead-agent: the program on the device. `enrol` gives it an identity, `run` sends readings,
 * `renew` renews the certificate now.
 */
#include "agent/csv.h"
#include "agent/enrol_verb.h"
#include "agent/evidence.h"
#include "agent/key.h"
#include "agent/renew_verb.h"
#include "agent/run.h"
#include "base/log.h"
#include "base/map.h"
#include "io/clock.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum { INTERVAL_MS = 5000 };

static const char help[] =
    "fairlead-agent joins a device to a hub and sends its readings.\n"
    "\n"
    "  fairlead-agent enrol --token TOKEN --dir DIR [--key KEY] [--again] [--json]\n"
    "      Makes a key, gets a certificate for it with the one-time token that `fairlead device\n"
    "      add` printed, and keeps both in DIR. '-' reads the token from standard input. --again\n"
    "      replaces the identity in DIR and keeps the readings. A KEY is\n"
    "        file               key.pem in DIR (0600)\n"
    "        tpm:TCTI           in a TPM 2.0\n"
    "        pkcs11:token=NAME;object=LABEL?pin-source=file:/PATH\n"
    "                           in a PKCS #11 token (RFC 7512); made there when it is not there "
    "yet\n"
    "\n"
    "  fairlead-agent run --dir DIR [--sensor SENSOR]... [--interval 5s] [--once] [--count N]\n"
    "      Reads sensors into the durable outbox in DIR and sends them to the hub. A SENSOR is\n"
    "        host[:INTERVAL]    load, memory, temperature and network counters of this machine\n"
    "        file:PATH[,stream=S][,speed=N|max][,original-time]\n"
    "                           a CSV file, replayed in its own time or N times as fast\n"
    "        stdin              lines STREAM VALUE, or JSON objects of numbers\n"
    "      Without a sensor only what is waiting in the outbox is sent. --once measures the host\n"
    "      once; --count ends after N readings. It ends by itself when every sensor has ended and\n"
    "      the hub has acknowledged everything. The certificate is renewed by itself, after half\n"
    "      of its life (agent.conf: renew-at 50%, renew-key new).\n"
    "\n"
    "  fairlead-agent renew --dir DIR\n"
    "      Renews the certificate now: by the agent that is running there, or by itself.\n"
    "\n"
    "  fairlead-agent evidence --dir DIR [--event-log FILE] [--json]\n"
    "      Gives evidence of this device to its hub now: what it runs, signed by its key and, "
    "with\n"
    "      a TPM, how it was booted, with the kernel's log of that or the one in FILE. `run` does\n"
    "      it by itself, as often as the hub asks for it.\n"
    "\n"
    "  --quiet says only what goes wrong; --verbose more. Exit codes: 0 done, 1 failed, 2 usage.\n";

/* --- Log lines for a person --------------------------------------------------------------------
 */

/* On a terminal: the time of day, colour for what is wrong. Elsewhere the log's own form stays. */
static void write_for_person(enum fl_log_level level, const char *tag, const char *text)
{
    static const char *const colours[] = {"\033[31m", "\033[33m", "", "\033[2m"};
    struct tm local = {0};
    char clock_text[16] = "";
    time_t now = (time_t)(fl_clock_now(fl_clock_system()) / 1000);

    if (localtime_r(&now, &local))
        (void)strftime(clock_text, sizeof clock_text, "%H:%M:%S", &local);
    (void)fprintf(stderr, "%s%s  %-7s %s%s\n", colours[level], clock_text, tag, text,
                  colours[level][0] ? "\033[0m" : "");
}

static void start_log(bool quiet, bool verbose)
{
    fl_log_init("agent", quiet ? FL_LOG_WARN : verbose ? FL_LOG_DEBUG : FL_LOG_INFO);
    if (isatty(STDERR_FILENO) && !getenv("NO_COLOR"))
        fl_log_set_writer(write_for_person);
}

/* --- Options -----------------------------------------------------------------------------------
 */

struct options {
    struct fl_enrol_options enrol;
    struct fl_run_options run;
    char token[FL_LIMIT_TOKEN_TEXT + 2];
    const char *event_log; /* of `evidence` */
    bool verbose;
};

enum option_id {
    OPTION_TOKEN = 256,
    OPTION_DIR,
    OPTION_KEY,
    OPTION_AGAIN,
    OPTION_JSON,
    OPTION_QUIET,
    OPTION_VERBOSE,
    OPTION_SENSOR,
    OPTION_INTERVAL,
    OPTION_ONCE,
    OPTION_COUNT,
    OPTION_EVENT_LOG,
    OPTION_HELP,
};

static const struct option enrol_options[] = {
    {"token", required_argument, NULL, OPTION_TOKEN},
    {"dir", required_argument, NULL, OPTION_DIR},
    {"key", required_argument, NULL, OPTION_KEY},
    {"again", no_argument, NULL, OPTION_AGAIN},
    {"json", no_argument, NULL, OPTION_JSON},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, OPTION_HELP},
    {0},
};

static const struct option run_options[] = {
    {"dir", required_argument, NULL, OPTION_DIR},
    {"sensor", required_argument, NULL, OPTION_SENSOR},
    {"interval", required_argument, NULL, OPTION_INTERVAL},
    {"once", no_argument, NULL, OPTION_ONCE},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, OPTION_HELP},
    {0},
};

static const struct option renew_options[] = {
    {"dir", required_argument, NULL, OPTION_DIR},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, OPTION_HELP},
    {0},
};

static const struct option evidence_options[] = {
    {"dir", required_argument, NULL, OPTION_DIR},
    {"event-log", required_argument, NULL, OPTION_EVENT_LOG},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {0},
};

static enum fl_error add_sensor(struct fl_run_options *run, const char *text,
                                struct fl_context *ctx)
{
    if (run->sensor_count == FL_LIMIT_AGENT_SENSORS)
        return fl_fail(ctx, FL_ELIMIT, "more than %d sensors", FL_LIMIT_AGENT_SENSORS);
    return fl_sensor_parse(text, &run->sensors[run->sensor_count++], ctx);
}

static enum fl_error take_option(int id, const char *value, struct options *o,
                                 struct fl_context *ctx)
{
    switch (id) {
    case OPTION_TOKEN:
        o->enrol.token = value;
        return FL_OK;
    case OPTION_DIR:
        o->enrol.dir = value;
        o->run.dir = value;
        return FL_OK;
    case OPTION_KEY:
        o->enrol.key = value;
        return FL_OK;
    case OPTION_AGAIN:
        o->enrol.again = true;
        return FL_OK;
    case OPTION_JSON:
        o->enrol.json = true;
        return FL_OK;
    case OPTION_QUIET:
        o->enrol.quiet = true;
        return FL_OK;
    case OPTION_VERBOSE:
        o->verbose = true;
        return FL_OK;
    case OPTION_EVENT_LOG:
        o->event_log = value;
        return FL_OK;
    case OPTION_SENSOR:
        return add_sensor(&o->run, value, ctx);
    case OPTION_INTERVAL:
        if (fl_duration_parse(fl_slice_str(value), &o->run.interval_ms) == FL_OK &&
            o->run.interval_ms >= 100)
            return FL_OK;
        return fl_fail(ctx, FL_EINVAL, "--interval is a duration like 5s, at least 100ms");
    case OPTION_ONCE:
        o->run.once = true;
        return FL_OK;
    case OPTION_COUNT:
        if (fl_str_to_u64(fl_slice_str(value), UINT32_MAX, &o->run.count) == FL_OK && o->run.count)
            return FL_OK;
        return fl_fail(ctx, FL_EINVAL, "--count is a whole number above 0");
    default:
        return fl_fail(ctx, FL_EINVAL, "see fairlead-agent --help");
    }
}

static int usage_error(const char *words)
{
    (void)fprintf(stderr, "fairlead-agent: %s\n", words);
    return EXIT_USAGE;
}

/* EXIT_DONE to go on; -1: help was asked for. */
static int read_options(int argc, char **argv, const struct option *table, struct options *o)
{
    struct fl_context ctx = {0};
    int id = 0;

    while ((id = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (id == OPTION_HELP)
            return -1;
        if (id == '?')
            return usage_error("see fairlead-agent --help"); /* getopt has said what */
        if (take_option(id, optarg, o, &ctx) != FL_OK)
            return usage_error(ctx.text);
    }
    if (optind < argc) {
        (void)fl_fail(&ctx, FL_EINVAL, "unexpected '%s'; see fairlead-agent --help", argv[optind]);
        return usage_error(ctx.text);
    }
    if (!o->run.dir)
        return usage_error("--dir is needed: the folder of this device");
    return EXIT_DONE;
}

/* --- Verbs -------------------------------------------------------------------------------------
 */

static int end(enum fl_error error, const struct fl_context *ctx)
{
    if (error == FL_OK)
        return EXIT_DONE;
    (void)fprintf(stderr, "fairlead-agent: %s\n", ctx->text[0] ? ctx->text : fl_error_words(error));
    return EXIT_FAILED;
}

static int run_enrol(struct options *o)
{
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    if (!o->enrol.token)
        return usage_error("--token is needed: `fairlead device add` prints it");
    if (fl_agent_key_where(o->enrol.key, &ctx) != FL_OK)
        return usage_error(ctx.text);
    if (strcmp(o->enrol.token, "-") == 0) {
        if (!fgets(o->token, sizeof o->token, stdin))
            return usage_error("there is no token on standard input");
        o->enrol.token = o->token;
    }
    error = fl_enrol_verb(&o->enrol, &ctx);
    explicit_bzero(o->token, sizeof o->token);
    return end(error, &ctx);
}

static int run_run(struct options *o)
{
    struct fl_context ctx = {0};
    enum fl_error error = fl_run(&o->run, &ctx);

    return end(error, &ctx);
}

static int run_renew(struct options *o)
{
    struct fl_context ctx = {0};
    enum fl_error error = fl_renew_verb(o->run.dir, o->enrol.quiet, &ctx);

    return end(error, &ctx);
}

static int run_evidence(struct options *o)
{
    struct fl_context ctx = {0};
    enum fl_error error = fl_evidence_verb(o->run.dir, o->event_log, o->enrol.json, &ctx);

    return end(error, &ctx);
}

static const struct verb {
    const char *name;
    const struct option *options;
    int (*run)(struct options *o);
} verbs[] = {
    {"enrol", enrol_options, run_enrol},
    {"run", run_options, run_run},
    {"renew", renew_options, run_renew},
    {"evidence", evidence_options, run_evidence},
};

static int run_verb(const struct verb *verb, int argc, char **argv)
{
    struct options *o = calloc(1, sizeof *o);
    int status = EXIT_FAILED;

    if (!o)
        return EXIT_FAILED;
    o->enrol.key = "file";
    o->run.interval_ms = INTERVAL_MS;
    status = read_options(argc, argv, verb->options, o);
    if (status == -1) {
        status = fputs(help, stdout) == EOF ? EXIT_FAILED : EXIT_DONE;
    } else if (status == EXIT_DONE) {
        start_log(o->enrol.quiet, o->verbose);
        status = verb->run(o);
    }
    free(o);
    return status;
}

int main(int argc, char **argv)
{
    uint8_t seed[16];

    fl_random_system()->fill(fl_random_system()->self, seed, sizeof seed);
    fl_map_seed(seed);
    if (argc >= 2 && strcmp(argv[1], "--help") == 0)
        return fputs(help, stdout) == EOF ? EXIT_FAILED : EXIT_DONE;
    if (argc >= 2 && strcmp(argv[1], "--version") == 0)
        return printf("fairlead-agent %s\n", FL_VERSION) < 0 ? EXIT_FAILED : EXIT_DONE;
    for (size_t i = 0; argc >= 2 && i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return run_verb(&verbs[i], argc - 1, argv + 1);
    (void)fputs(help, stderr);
    return EXIT_USAGE;
}
