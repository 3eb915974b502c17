/* SPDX-License-Identifier: Apache-2.0
 *
 * The process around the hub engine: the database in DIR/state, the profiles and keys of DIR, the
 * channels to front and signer, the local door (DIR/run/hub.sock), timers. It parses nothing from a
 * network.
 */
#ifndef FL_HUB_CONTROL_H
#define FL_HUB_CONTROL_H

/* The main of fairlead-control; see io/child.h. */
int fl_control_main(int argc, char **argv);

#endif
