/* SPDX-License-Identifier: Apache-2.0
 *
 * fairlead-front: the data plane of a hub. It reads hostile bytes and therefore holds nothing worth
 * stealing: no issuing key, no database, no file.
 */
#include "front/front.h"

int main(int argc, char **argv)
{
    static struct fl_front front;
    const struct fl_child_program program = fl_front_program(&front);

    return fl_child_main(&program, argc, argv);
}
