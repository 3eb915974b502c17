/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/text.h"

/* Appends `text` padded to `width` columns and two more, or a new line when it is wider. */
static void padded(struct fl_buffer *out, const char *text, size_t width, size_t indent)
{
    size_t used = fl_text_width(fl_slice_str(text));

    fl_buffer_append_str(out, text);
    if (used > width) {
        fl_buffer_append_byte(out, '\n');
        used = 0;
        width += indent;
    }
    for (; used < width + 2; used++)
        fl_buffer_append_byte(out, ' ');
}

static void option_form(const struct fl_cli_option *option, struct fl_buffer *out)
{
    fl_buffer_printf(out, "--%s%s%s", option->name, option->argument ? " " : "",
                     option->argument ? option->argument : "");
}

static void option_lines(const struct fl_cli_option *options, struct fl_buffer *out)
{
    for (size_t i = 0; options && options[i].name; i++) {
        struct fl_buffer form = FL_BUFFER(256);
        const char *text = NULL;
        option_form(&options[i], &form);
        text = fl_buffer_str(&form);
        fl_buffer_append_str(out, "  ");
        padded(out, text ? text : "", 20, 2);
        fl_buffer_printf(out, "%s\n", options[i].help);
        fl_buffer_free(&form);
    }
}

static void words_of(const struct fl_cli_verb *verb, struct fl_buffer *out)
{
    fl_buffer_printf(out, "%s%s%s%s%s", verb->noun, verb->verb ? " " : "",
                     verb->verb ? verb->verb : "", verb->operands[0] ? " " : "", verb->operands);
}

void fl_cli_usage_line(const struct fl_cli_verb *verb, struct fl_buffer *out)
{
    fl_buffer_append_str(out, "usage: fairlead ");
    words_of(verb, out);
    for (size_t i = 0; verb->options && verb->options[i].name; i++) {
        fl_buffer_append_str(out, verb->options[i].required ? " " : " [");
        option_form(&verb->options[i], out);
        fl_buffer_append_str(out, verb->options[i].required ? "" : "]");
    }
    fl_buffer_append_byte(out, '\n');
}

void fl_cli_help_verb(const struct fl_cli_verb *verb, struct fl_buffer *out)
{
    fl_cli_usage_line(verb, out);
    fl_buffer_printf(out, "\n%s\n", verb->summary);
    if (verb->details)
        fl_buffer_printf(out, "\n%s\n", verb->details);
    fl_buffer_append_byte(out, '\n');
    option_lines(verb->options, out);
    option_lines(fl_cli_global_options, out);
}

static void verb_line(const struct fl_cli_verb *verb, size_t width, struct fl_buffer *out)
{
    struct fl_buffer words = FL_BUFFER(256);
    const char *text = NULL;

    words_of(verb, &words);
    text = fl_buffer_str(&words);
    fl_buffer_append_str(out, "  ");
    padded(out, text ? text : "", width, 2);
    fl_buffer_printf(out, "%s\n", verb->summary);
    fl_buffer_free(&words);
}

void fl_cli_help_noun(const struct fl_cli_noun *noun, struct fl_buffer *out)
{
    fl_buffer_printf(out, "%s\n\n", noun->summary);
    for (size_t i = 0; i < noun->verbs->count; i++)
        verb_line(&noun->verbs->items[i], 24, out);
    fl_buffer_printf(out, "\nEach has --help: fairlead %s %s --help\n", noun->name,
                     noun->verbs->items[0].verb ? noun->verbs->items[0].verb : "");
}

/* One line for each noun with its verbs, so that everything is seen at a glance. */
void fl_cli_help(struct fl_buffer *out)
{
    fl_buffer_append_str(out, "Fairlead secures devices on their way to the cloud.\n\n"
                              "usage: fairlead [--hub DIR|URL] NOUN VERB ...\n\n");
    for (size_t i = 0; i < fl_cli_noun_count; i++) {
        const struct fl_cli_noun *noun = &fl_cli_nouns[i];
        struct fl_buffer words = FL_BUFFER(512);
        const char *text = NULL;
        fl_buffer_printf(&words, "%s ", noun->name);
        for (size_t v = 0; v < noun->verbs->count; v++)
            fl_buffer_printf(&words, "%s%s", v ? "|" : "",
                             noun->verbs->items[v].verb ? noun->verbs->items[v].verb
                                                        : noun->verbs->items[v].operands);
        text = fl_buffer_str(&words);
        fl_buffer_append_str(out, "  ");
        padded(out, text ? text : "", 34, 2);
        fl_buffer_printf(out, "%s\n", noun->summary);
        fl_buffer_free(&words);
    }
    fl_buffer_append_byte(out, '\n');
    option_lines(fl_cli_global_options, out);
    fl_buffer_append_str(
        out,
        "  --version             print the version\n\n"
        "Without --hub: FAIRLEAD_HUB, or the one hub that you have logged in to. Exit code 0:\n"
        "done, 1: failed, 2: wrongly typed. `fairlead NOUN VERB --help` tells more, and so does\n"
        "`man fairlead`.\n");
}
