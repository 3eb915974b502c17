/* SPDX-License-Identifier: Apache-2.0
 *
 * The devices' data keys, one slot each in one file that only the signer writes (see
 * docs/design/datakey.md). A key is made here, wrapped under the data key, and given out by the
 * name of its device and its generation. Destroying one overwrites it where it lies: from then on
 * nothing that it sealed can be opened, wherever copies of that are. What was reported as made or
 * destroyed stays so through power cuts and torn writes.
 */
#ifndef FL_SIGNER_KEYSTORE_H
#define FL_SIGNER_KEYSTORE_H

#include "base/world.h"
#include "trust/datakey.h"

#define FL_KEYSTORE_FILE "device-keys"

struct fl_keystore;

/* Reads the file, and begins an empty one. `master` is the hub's data key. FL_EAUTH: its keys are
 * wrapped under another data key; FL_EPARSE: it is none. `random` must outlive it. */
FL_MUST_USE enum fl_error fl_keystore_open(const struct fl_files *files,
                                           const struct fl_random *random,
                                           const uint8_t master[FL_DATAKEY_SIZE],
                                           struct fl_keystore **keystore, struct fl_context *ctx);
void fl_keystore_free(struct fl_keystore *keystore); /* NULL is harmless */

/* The key of the device's `generation` (1 and up). `create`: makes it when there is none yet; the
 * same call after a crash gives the same key. `*erased` is the last generation that was destroyed,
 * 0 when none was.
 * FL_EEXPIRED: that generation was destroyed; FL_ENOTFOUND: none, and `create` is false; FL_EIO: it
 * is damaged; FL_ELIMIT. A generation over a living one destroys that: whoever asks knows that it
 * was to be erased, and the file is an older copy. */
FL_MUST_USE enum fl_error fl_keystore_get(struct fl_keystore *keystore, struct fl_slice device,
                                          uint32_t generation, bool create,
                                          uint8_t key[FL_DATAKEY_SIZE], uint32_t *erased,
                                          struct fl_context *ctx);

/* Destroys the device's key, whatever its generation, which becomes `*erased` (0: it has none).
 * After a failure it may be destroyed or not: do it again. */
FL_MUST_USE enum fl_error fl_keystore_destroy(struct fl_keystore *keystore, struct fl_slice device,
                                              uint32_t *erased, struct fl_context *ctx);

size_t fl_keystore_count(const struct fl_keystore *keystore); /* devices */

#endif
