/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/grade.h"

static const char *const names[FL_GRADE_COUNT] = {
    [FL_GRADE_NONE] = "none",
    [FL_GRADE_REPORTED] = "reported",
    [FL_GRADE_ATTESTED] = "attested",
};

const char *fl_grade_name(enum fl_grade grade)
{
    return names[grade];
}

enum fl_grade fl_grade_of(struct fl_slice name)
{
    enum fl_grade grade = FL_GRADE_REPORTED;

    while (grade < FL_GRADE_COUNT && !fl_slice_is(name, names[grade]))
        grade++;
    return grade;
}
