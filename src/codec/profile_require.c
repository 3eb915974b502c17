/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/profile_require.h"

#define WITHIN_MIN_MS 5000LL
#define WITHIN_MAX_MS (30LL * 24 * 3600 * 1000)

static enum fl_error read_one(const struct fl_conf *conf, const struct fl_conf_node *node,
                              struct fl_profile *profile, struct fl_context *ctx)
{
    enum fl_grade grade = fl_grade_of(node->words[1].text);
    fl_time_t within = 0;
    enum fl_error error = FL_OK;

    if (grade == FL_GRADE_COUNT)
        return fl_conf_fail(conf, node, 1, ctx, "what is required is 'attested' or 'reported'");
    if (!fl_slice_is(node->words[2].text, "within"))
        return fl_conf_fail(conf, node, 2, ctx, "write: %s", FL_PROFILE_REQUIRE_USAGE);
    if (profile->within_ms[grade])
        return fl_conf_fail(conf, node, 1, ctx, "'%s' is required already", fl_grade_name(grade));
    error = fl_conf_duration(conf, node, 3, &within, ctx);
    if (error)
        return error;
    if (within < WITHIN_MIN_MS || within > WITHIN_MAX_MS)
        return fl_conf_fail(conf, node, 3, ctx, "evidence is good for 5s to 30d");
    profile->within_ms[grade] = within;
    return FL_OK;
}

static enum fl_error read_measure(const struct fl_conf *conf, const struct fl_conf_node *node,
                                  struct fl_profile *profile, struct fl_context *ctx)
{
    for (uint32_t i = 1; i < node->word_count; i++) {
        uint64_t pcr = 0;
        enum fl_error error = fl_conf_u64(conf, node, i, 0, FL_LIMIT_PCRS - 1, &pcr, ctx);

        if (error)
            return error;
        profile->pcrs |= 1U << pcr;
    }
    return FL_OK;
}

enum fl_error fl_profile_requirements(const struct fl_conf *conf, const struct fl_conf_node *block,
                                      struct fl_profile *profile, struct fl_context *ctx)
{
    const struct fl_conf_node *measure = fl_conf_find(block, "measure");
    enum fl_error error = FL_OK;

    profile->pcrs = FL_PCRS_ALWAYS;
    for (const struct fl_conf_node *node = fl_conf_find(block, "require"); node && !error;
         node = fl_conf_next(node))
        error = read_one(conf, node, profile, ctx);
    if (!error && measure && !profile->within_ms[FL_GRADE_ATTESTED])
        error = fl_conf_fail(conf, measure, 0, ctx,
                             "nothing is measured without 'require attested within DURATION'");
    return error || !measure ? error : read_measure(conf, measure, profile, ctx);
}

enum fl_error fl_profile_when(const struct fl_conf *conf, const struct fl_conf_node *node,
                              const struct fl_profile *profile, uint8_t *grade,
                              struct fl_context *ctx)
{
    enum fl_grade found = FL_GRADE_NONE;

    *grade = FL_GRADE_NONE;
    if (node->word_count == 2)
        return FL_OK;
    if (node->word_count == 4)
        found = fl_grade_of(node->words[3].text);
    if (node->word_count != 4 || !fl_slice_is(node->words[2].text, "when") ||
        found == FL_GRADE_COUNT)
        return fl_conf_fail(conf, node, 2, ctx,
                            "after the filter may stand 'when attested' or 'when reported'");
    if (!profile->within_ms[found])
        return fl_conf_fail(conf, node, 3, ctx,
                            "how old may that evidence be? Add: require %s within 24h",
                            fl_grade_name(found));
    *grade = (uint8_t)found;
    return FL_OK;
}

enum fl_error fl_profile_requirements_used(const struct fl_conf *conf,
                                           const struct fl_conf_node *block,
                                           const struct fl_profile *profile, struct fl_context *ctx)
{
    uint8_t used = 0;

    for (size_t i = 0; i < profile->publish_count; i++)
        used |= FL_GRADE_BIT(profile->publish_when[i]);
    for (size_t i = 0; i < profile->subscribe_count; i++)
        used |= FL_GRADE_BIT(profile->subscribe_when[i]);
    for (const struct fl_conf_node *node = fl_conf_find(block, "require"); node;
         node = fl_conf_next(node)) {
        enum fl_grade grade = fl_grade_of(node->words[1].text);

        if (!(used & FL_GRADE_BIT(grade)))
            return fl_conf_fail(conf, node, 0, ctx,
                                "this changes nothing: write 'when %s' after the filters that "
                                "shall need it",
                                fl_grade_name(grade));
    }
    return FL_OK;
}
