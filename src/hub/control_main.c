/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/control.h"

int main(int argc, char **argv)
{
    return fl_control_main(argc, argv);
}
