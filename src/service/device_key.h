/* SPDX-License-Identifier: Apache-2.0
 *
 * What the hub remembers of a device's data key: which generation is in force, and what was erased.
 * The key itself is the signer's; of it nothing is in the store. An erasure is remembered until
 * the signer has destroyed the key and the readings are deleted, so that a crash does not forget
 * it.
 */
#ifndef FL_SERVICE_DEVICE_KEY_H
#define FL_SERVICE_DEVICE_KEY_H

#include "service/document.h"

struct fl_device_key {
    uint32_t generation; /* in force, 1 and up */
    bool made;           /* the signer has given it out once: it must have it */
    uint32_t erased;     /* the last generation that was destroyed; 0: none */
    fl_time_t erased_at; /* 0: never */
    bool erasing;        /* asked for, not yet confirmed by the signer */
};

/* A device without a record has the first generation, which is yet to be made. */
FL_MUST_USE enum fl_error fl_device_key_get(const struct fl_store *store, struct fl_slice device,
                                            struct fl_device_key *key, struct fl_context *ctx);

/* These are called inside the transaction of the change. */
FL_MUST_USE enum fl_error fl_device_key_made(const struct fl_store *store, struct fl_slice device,
                                             struct fl_context *ctx);
/* The signer says that it destroyed generations that this store takes for living ones: this store
 * is an older copy. Writes it down in the audit log. */
FL_MUST_USE enum fl_error fl_device_key_found_erased(const struct fl_store *store,
                                                     struct fl_slice device, uint32_t erased,
                                                     fl_time_t now, struct fl_context *ctx);
/* Someone wants the device's readings erased: recorded with who and why. */
FL_MUST_USE enum fl_error fl_device_key_erase_begin(const struct fl_store *store,
                                                    struct fl_slice device,
                                                    const struct fl_change *change,
                                                    struct fl_context *ctx);
/* The signer has destroyed the generations up to `erased` (0: it never had one). */
FL_MUST_USE enum fl_error fl_device_key_erased(const struct fl_store *store, struct fl_slice device,
                                               uint32_t erased, fl_time_t now,
                                               struct fl_context *ctx);
/* Its readings are deleted. */
FL_MUST_USE enum fl_error fl_device_key_erase_end(const struct fl_store *store,
                                                  struct fl_slice device, struct fl_context *ctx);

/* True until the device's readings are deleted: what is not sealed is not to be shown, nor sealed
 * under the next key. Also true when the store cannot say. */
bool fl_device_key_is_erasing(const struct fl_store *store, struct fl_slice device);

/* Erasures that are not finished, by device. `key_gone`: only readings are left to delete. */
typedef bool (*fl_device_key_visit)(void *to, struct fl_slice device, bool key_gone);
FL_MUST_USE enum fl_error fl_device_key_each_erasure(const struct fl_store *store, uint32_t limit,
                                                     fl_device_key_visit visit, void *to,
                                                     struct fl_context *ctx);

#endif
