/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/limits.h"
#include "base/str.h"
#include "cli/json.h"
#include "cli/text.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

volatile sig_atomic_t fl_cli_interrupted = 0;

static void on_signal(int number)
{
    (void)number;
    fl_cli_interrupted = 1;
}

void fl_cli_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: sleeps end too */

    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

fl_time_t fl_cli_now(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (fl_time_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void fl_cli_hint(struct fl_cli *cli, const char *format, ...)
{
    size_t used = strlen(cli->hint);
    va_list args;

    if (used > 0 && used + 1 < sizeof cli->hint)
        cli->hint[used++] = '\n';
    va_start(args, format);
    (void)vsnprintf(cli->hint + used, sizeof cli->hint - used, format, args);
    va_end(args);
}

enum fl_error fl_cli_usage(struct fl_cli *cli, struct fl_context *ctx, const char *format, ...)
{
    va_list args;

    cli->usage = true;
    if (ctx) {
        va_start(args, format);
        (void)vsnprintf(ctx->text, sizeof ctx->text, format, args);
        va_end(args);
    }
    return FL_EINVAL;
}

enum fl_error fl_cli_name(struct fl_cli *cli, const char *what, const char *word,
                          struct fl_context *ctx)
{
    char shown[4 * FL_NAME_MAX];

    if (fl_name_valid(fl_slice_str(word)))
        return FL_OK;
    return fl_cli_usage(cli, ctx,
                        "\"%s\": a %s is 1 to %d of A-Z a-z 0-9 . _ - and starts with a letter or "
                        "digit",
                        fl_str_printable(shown, sizeof shown, fl_slice_str(word)), what,
                        FL_NAME_MAX);
}

enum fl_error fl_cli_seconds(struct fl_cli *cli, const char *option, int64_t max_s,
                             int64_t *seconds, struct fl_context *ctx)
{
    const char *word = fl_cli_option(cli, option);
    fl_time_t duration = 0;
    char shown[64];
    char most[FL_TIME_TEXT_MAX];

    if (!word)
        return FL_OK;
    fl_str_printable(shown, sizeof shown, fl_slice_str(word));
    if (fl_duration_parse(fl_slice_str(word), &duration) != FL_OK || duration % 1000)
        return fl_cli_usage(cli, ctx, "--%s \"%s\": a duration is like 90s, 15m, 1h30m or 7d",
                            option, shown);
    if (duration < 1000 || duration / 1000 > max_s)
        return fl_cli_usage(cli, ctx, "--%s %s: must be 1s to %s", option, shown,
                            fl_duration_format(max_s * 1000, most));
    *seconds = duration / 1000;
    return FL_OK;
}

enum fl_error fl_cli_number(struct fl_cli *cli, const char *option, uint64_t max, uint64_t *value,
                            struct fl_context *ctx)
{
    const char *word = fl_cli_option(cli, option);
    uint64_t number = 0;
    char shown[64];

    if (!word)
        return FL_OK;
    if (fl_str_to_u64(fl_slice_str(word), max, &number) != FL_OK || number == 0)
        return fl_cli_usage(cli, ctx, "--%s \"%s\": must be a whole number, 1 to %llu", option,
                            fl_str_printable(shown, sizeof shown, fl_slice_str(word)),
                            (unsigned long long)max);
    *value = number;
    return FL_OK;
}

enum fl_error fl_cli_moment(struct fl_cli *cli, const char *option, fl_time_t now, fl_time_t *value,
                            struct fl_context *ctx)
{
    const char *word = fl_cli_option(cli, option);
    fl_time_t duration = 0;
    char shown[64];

    if (!word)
        return FL_OK;
    if (fl_duration_parse(fl_slice_str(word), &duration) == FL_OK) {
        *value = now - duration;
        return FL_OK;
    }
    if (fl_time_parse(fl_slice_str(word), value) == FL_OK)
        return FL_OK;
    return fl_cli_usage(cli, ctx,
                        "--%s \"%s\": give how long ago (90s, 15m, 1h, 7d) or a time "
                        "(2026-11-22T07:00:00Z)",
                        option, fl_str_printable(shown, sizeof shown, fl_slice_str(word)));
}

enum fl_error fl_cli_write(struct fl_cli *cli, struct fl_buffer *text, struct fl_context *ctx)
{
    struct fl_slice s = fl_buffer_slice(text);
    bool failed = text->failed;

    if (failed)
        return fl_fail(ctx, FL_ENOMEM, "the answer is too long to be printed");
    errno = 0;
    if (s.size > 0 && fwrite(s.data, 1, s.size, cli->out) != s.size)
        failed = true;
    if (fflush(cli->out) != 0)
        failed = true;
    if (failed && errno == EPIPE)
        return FL_ECLOSED;
    return failed ? fl_fail(ctx, FL_EIO, "stdout: %s", strerror(errno)) : FL_OK;
}

enum fl_error fl_cli_write_table(struct fl_cli *cli, const struct fl_text_table *table,
                                 struct fl_context *ctx)
{
    struct fl_buffer text = FL_BUFFER(256UL * 1024 * 1024);
    enum fl_error e = fl_text_table_print(table, cli->width, cli->color, &text);

    if (e == FL_OK)
        e = fl_cli_write(cli, &text, ctx);
    else
        (void)fl_fail(ctx, e, "out of memory");
    fl_buffer_free(&text);
    return e;
}

enum fl_error fl_cli_write_json(struct fl_cli *cli, json_t *value, struct fl_context *ctx)
{
    struct fl_buffer text = FL_BUFFER(64UL * 1024 * 1024);
    enum fl_error e = FL_OK;

    (void)fl_json_print(value, &text); /* a failure stays in the buffer */
    fl_buffer_append_byte(&text, '\n');
    e = fl_cli_write(cli, &text, ctx);
    fl_buffer_free(&text);
    return e;
}

static size_t environment_number(const char *name)
{
    const char *text = getenv(name);
    uint64_t value = 0;

    return text && fl_str_to_u64(fl_slice_str(text), 1000, &value) == FL_OK ? (size_t)value : 0;
}

static void look_at_terminal(struct fl_cli *cli)
{
    struct winsize size = {0};
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    if (!isatty(fileno(cli->out)))
        return;
    (void)ioctl(fileno(cli->out), TIOCGWINSZ, &size);
    cli->width = size.ws_col ? size.ws_col : environment_number("COLUMNS");
    cli->height = size.ws_row ? size.ws_row : environment_number("LINES");
    cli->width = cli->width ? cli->width : 80;
    cli->height = cli->height ? cli->height : 24;
    cli->color = !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
}

/* "fairlead: device add: words", then the hint, each line on its own. */
static void report(const struct fl_cli *cli, enum fl_error e, const struct fl_context *ctx)
{
    struct fl_buffer text = FL_BUFFER(65536);
    struct fl_slice rest = fl_slice_str(cli->hint);
    struct fl_slice line;
    bool color = isatty(STDERR_FILENO) && !getenv("NO_COLOR");

    fl_buffer_printf(&text, "%sfairlead%s: ", color ? fl_style_on(FL_STYLE_BAD) : "",
                     color ? "\033[0m" : "");
    if (cli->verb)
        fl_buffer_printf(&text, "%s%s%s: ", cli->verb->noun, cli->verb->verb ? " " : "",
                         cli->verb->verb ? cli->verb->verb : "");
    else if (cli->noun)
        fl_buffer_printf(&text, "%s: ", cli->noun->name);
    fl_text_safe(fl_slice_str(ctx->text[0] ? ctx->text : fl_error_words(e)), &text);
    fl_buffer_append_byte(&text, '\n');
    while (rest.size > 0) {
        (void)fl_slice_cut(&rest, '\n', &line);
        fl_buffer_append_str(&text, "  ");
        fl_text_safe(line, &text);
        fl_buffer_append_byte(&text, '\n');
    }
    if (cli->usage) {
        if (cli->verb) {
            fl_buffer_append_str(&text, "  ");
            fl_cli_usage_line(cli->verb, &text);
        }
        fl_buffer_printf(&text, "  see: fairlead%s%s%s%s --help\n", cli->noun ? " " : "",
                         cli->noun ? cli->noun->name : "", cli->verb && cli->verb->verb ? " " : "",
                         cli->verb && cli->verb->verb ? cli->verb->verb : "");
    }
    (void)fwrite(text.data + text.start, 1, text.size, stderr);
    fl_buffer_free(&text);
}

static enum fl_error print_help(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_buffer text = FL_BUFFER(65536);
    enum fl_error e = FL_OK;

    if (cli->verb)
        fl_cli_help_verb(cli->verb, &text);
    else if (cli->noun)
        fl_cli_help_noun(cli->noun, &text);
    else
        fl_cli_help(&text);
    e = fl_cli_write(cli, &text, ctx);
    fl_buffer_free(&text);
    return e;
}

static int version(void)
{
    return printf("fairlead %s\n", FL_VERSION) > 0 && fflush(stdout) == 0 ? 0 : 1;
}

/* A verb with its own parser: its words as they were typed, and --json from before the noun. */
static int run_raw(const struct fl_cli *cli, int argc, char **argv)
{
    static char json[] = "--json";
    char **words = calloc((size_t)argc + 2, sizeof *words);
    int count = 0;
    int code = 1;

    if (!words)
        return code;
    for (int i = cli->raw_at; i < argc; i++)
        words[count++] = argv[i];
    if (cli->json)
        words[count++] = json;
    code = cli->verb->raw(count, words);
    free(words);
    return code;
}

int fl_cli_main(int argc, char **argv)
{
    struct fl_cli cli = {.out = stdout};
    struct fl_context ctx = {0};
    enum fl_error e = FL_OK;

    (void)signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return version();
    if (argc >= 2 && strcmp(argv[1], "help") == 0) { /* `help device add` is `device add --help` */
        argv[1] = argv[0];
        argv++;
        argc--;
        cli.help = true;
    }
    look_at_terminal(&cli);
    e = fl_cli_parse(&cli, argc, argv, &ctx);
    if (!cli.hub)
        cli.hub = getenv("FAIRLEAD_HUB");
    if (e == FL_OK && cli.help)
        e = print_help(&cli, &ctx);
    else if (e == FL_OK && cli.verb->raw)
        return run_raw(&cli, argc, argv);
    else if (e == FL_OK)
        e = cli.verb->run(&cli, &ctx);
    if (e == FL_OK)
        return 0;
    if (!(e == FL_ECLOSED && !ctx.text[0]))
        report(&cli, e, &ctx);
    return cli.usage ? 2 : 1;
}
