/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include "cli/nouns.h"

/* Everything is a case of one function, made from the table, so it cannot fall behind. */

static void words_of_verb(const struct fl_cli_verb *verb, struct fl_buffer *out)
{
    for (size_t i = 0; verb->options && verb->options[i].name; i++)
        fl_buffer_printf(out, " --%s", verb->options[i].name);
    for (size_t i = 0; fl_cli_global_options[i].name; i++)
        fl_buffer_printf(out, " --%s", fl_cli_global_options[i].name);
}

static void case_of_noun(const struct fl_cli_noun *noun, struct fl_buffer *out)
{
    bool has_verbs = noun->verbs->items[0].verb != NULL;

    if (has_verbs) {
        fl_buffer_printf(out, "    %s)\n        words=\"", noun->name);
        for (size_t i = 0; i < noun->verbs->count; i++)
            fl_buffer_printf(out, "%s%s", i ? " " : "", noun->verbs->items[i].verb);
        fl_buffer_append_str(out, "\" ;;\n");
    }
    for (size_t i = 0; i < noun->verbs->count; i++) {
        const struct fl_cli_verb *verb = &noun->verbs->items[i];
        if (verb->verb)
            fl_buffer_printf(out, "    \"%s %s\"*)\n        words=\"", noun->name, verb->verb);
        else
            fl_buffer_printf(out, "    %s*)\n        words=\"", noun->name);
        words_of_verb(verb, out);
        fl_buffer_append_str(out, "\" ;;\n");
    }
}

static enum fl_error run_bash(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_buffer out = FL_BUFFER(65536);
    enum fl_error e = FL_OK;

    fl_buffer_append_str(&out, "# fairlead completion bash\n"
                               "_fairlead() {\n"
                               "    local words typed= i word=\"${COMP_WORDS[COMP_CWORD]}\"\n"
                               "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                               "        case ${COMP_WORDS[i]} in\n"
                               "        --hub) i=$((i + 1)) ;;\n"
                               "        -*) ;;\n"
                               "        *) typed=\"$typed${typed:+ }${COMP_WORDS[i]}\" ;;\n"
                               "        esac\n"
                               "    done\n"
                               "    case $typed in\n"
                               "    '')\n"
                               "        words=\"--hub --version --help");
    for (size_t i = 0; i < fl_cli_noun_count; i++)
        fl_buffer_printf(&out, " %s", fl_cli_nouns[i].name);
    fl_buffer_append_str(&out, "\" ;;\n");
    for (size_t i = 0; i < fl_cli_noun_count; i++)
        case_of_noun(&fl_cli_nouns[i], &out);
    fl_buffer_append_str(&out, "    esac\n"
                               "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                               "}\n"
                               "complete -o default -F _fairlead fairlead\n");
    e = fl_cli_write(cli, &out, ctx);
    fl_buffer_free(&out);
    return e;
}

static const struct fl_cli_verb verbs[] = {
    {"completion", "bash", "", "print the completion for bash",
     "To use it at once: eval \"$(fairlead completion bash)\"", NULL, run_bash, NULL},
};
const struct fl_cli_verbs fl_cli_completion_verbs = {verbs, sizeof verbs / sizeof verbs[0]};
