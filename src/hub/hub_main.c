/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/parent.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: fairlead-hub DIR           run the hub in DIR until SIGTERM or Ctrl-C\n"
    "       fairlead-hub --check DIR   only check configuration, files and ports\n"
    "       fairlead-hub --version\n"
    "\n"
    "'fairlead init DIR' makes a hub directory. Prints 'ready' on standard output once every\n"
    "listener answers; logs on standard error. Started as root, each of its processes gets a\n"
    "user of its own. Exit status: 0 ended as asked, 1 failed, 2 wrong usage.\n";

static int finish(enum fl_error error, const struct fl_context *ctx)
{
    if (error == FL_OK)
        return 0;
    (void)fprintf(stderr, "fairlead-hub: %s\n", ctx->text[0] ? ctx->text : fl_error_words(error));
    return 1;
}

int main(int argc, char **argv)
{
    struct fl_context ctx = {0};

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        (void)fputs(usage, stdout);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("fairlead-hub %s\n", FL_VERSION);
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "--check") == 0) {
        enum fl_error error = fl_hub_check(argv[2], &ctx);
        if (error == FL_OK)
            (void)printf("%s: ok\n", argv[2]);
        return finish(error, &ctx);
    }
    if (argc == 2 && argv[1][0] != '-')
        return finish(fl_hub_run(argv[1], &ctx), &ctx);
    (void)fputs(usage, stderr);
    return 2;
}
