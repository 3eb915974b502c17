/* SPDX-License-Identifier: Apache-2.0
 *
 * The statements of a profile about evidence, as codec/profile.c reads them:
 *
 *     require attested within 24h     evidence of this grade counts as long as it is so young
 *     measure 8 9                     PCRs that a TPM is to quote besides 0 to 7
 *     publish FILTER when attested    a right that is there while such evidence is
 */
#ifndef FL_CODEC_PROFILE_REQUIRE_H
#define FL_CODEC_PROFILE_REQUIRE_H

#include "codec/profile.h"

#define FL_PROFILE_REQUIRE_USAGE "require attested within 24h, or require reported within 24h"
#define FL_PROFILE_MEASURE_USAGE "measure PCR..., for example measure 8 9 14"

/* Reads `require` and `measure` of the block. */
FL_MUST_USE enum fl_error fl_profile_requirements(const struct fl_conf *conf,
                                                  const struct fl_conf_node *block,
                                                  struct fl_profile *profile,
                                                  struct fl_context *ctx);
/* Reads the rest of `publish FILTER when GRADE`, after fl_profile_requirements. */
FL_MUST_USE enum fl_error fl_profile_when(const struct fl_conf *conf,
                                          const struct fl_conf_node *node,
                                          const struct fl_profile *profile, uint8_t *grade,
                                          struct fl_context *ctx);
/* After all filters: what is required must be of use. */
FL_MUST_USE enum fl_error fl_profile_requirements_used(const struct fl_conf *conf,
                                                       const struct fl_conf_node *block,
                                                       const struct fl_profile *profile,
                                                       struct fl_context *ctx);

#endif
