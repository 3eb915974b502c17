/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/keystore.h"

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "trust/key.h"

#include <openssl/err.h>
#include <stdlib.h>

#define TAG "keystore"
#define MAGIC "fairlead device keys 1"
#define CHECK_LABEL "fairlead device keys check 1"
#define WRAP_LABEL "fairlead device keys 1"

/* A slot is an identity, then a wrapped key. The header is the slot with number 0. */
enum {
    SLOT = 160,
    IDENTITY = 96,
    NAME_AT = 12,
    CRC_AT = IDENTITY - 4,
    WRAPPED = SLOT - IDENTITY,
    NONCE = 12,
    TAG_AT = NONCE + FL_DATAKEY_SIZE,
    TAG_SIZE = 16,
    CHECK_AT = 32,
    CHECK_SIZE = 16,
    READ_SLOTS = 256,
    FREE_MAX = 64,
};

struct entry {
    struct fl_map_node node;
    uint32_t slot;
    uint32_t generation;
    bool destroyed;
    char name[]; /* terminated */
};

struct fl_keystore {
    struct fl_files files;
    const struct fl_random *random;
    uint8_t wrap[FL_DATAKEY_SIZE];
    uint8_t check[CHECK_SIZE];
    struct fl_map devices;
    uint32_t slots;       /* the next at the end */
    uint32_t unsure_slot; /* being made when a write failed; 0: none */
    uint32_t free_slots[FREE_MAX];
    size_t free_count;
};

static bool is_zero(const uint8_t *from, size_t size)
{
    uint8_t all = 0;

    for (size_t i = 0; i < size; i++)
        all |= from[i];
    return all == 0;
}

/* --- identities --- */

static void write_identity(uint8_t identity[IDENTITY], struct fl_slice device, uint32_t generation,
                           uint32_t slot)
{
    memset(identity, 0, IDENTITY);
    fl_put_le32(identity, slot);
    fl_put_le32(identity + 4, generation);
    fl_put_le32(identity + 8, (uint32_t)device.size);
    memcpy(identity + NAME_AT, device.data, device.size);
    fl_put_le32(identity + CRC_AT, fl_crc32c(0, fl_slice(identity, CRC_AT)));
}

/* What is not whole was never reported as made: the slot is free. */
static bool read_identity(const uint8_t identity[IDENTITY], uint32_t slot, struct fl_slice *device,
                          uint32_t *generation)
{
    uint32_t size = fl_get_le32(identity + 8);

    if (fl_get_le32(identity + CRC_AT) != fl_crc32c(0, fl_slice(identity, CRC_AT)) ||
        fl_get_le32(identity) != slot || size > FL_NAME_MAX)
        return false;
    *device = fl_slice(identity + NAME_AT, size);
    *generation = fl_get_le32(identity + 4);
    return *generation > 0 && fl_name_valid(*device);
}

/* --- wrapping: AES-256-GCM, the identity is associated --- */

static enum fl_error wrap(const struct fl_keystore *ks, const uint8_t identity[IDENTITY],
                          const uint8_t key[FL_DATAKEY_SIZE], uint8_t wrapped[WRAPPED],
                          struct fl_context *ctx)
{
    EVP_CIPHER_CTX *gcm = EVP_CIPHER_CTX_new();
    int size = 0;
    bool good = false;

    memset(wrapped, 0, WRAPPED);
    ks->random->fill(ks->random->self, wrapped, NONCE);
    good = gcm && EVP_EncryptInit_ex(gcm, EVP_aes_256_gcm(), NULL, ks->wrap, wrapped) == 1 &&
           EVP_EncryptUpdate(gcm, NULL, &size, identity, IDENTITY) == 1 &&
           EVP_EncryptUpdate(gcm, wrapped + NONCE, &size, key, FL_DATAKEY_SIZE) == 1 &&
           EVP_EncryptFinal_ex(gcm, wrapped + TAG_AT, &size) == 1 &&
           EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, wrapped + TAG_AT) == 1;
    EVP_CIPHER_CTX_free(gcm);
    return good ? FL_OK : fl_crypto_fail(ctx, "wrap a key");
}

static bool unwrap(const struct fl_keystore *ks, const uint8_t identity[IDENTITY],
                   uint8_t wrapped[WRAPPED], uint8_t key[FL_DATAKEY_SIZE])
{
    EVP_CIPHER_CTX *gcm = EVP_CIPHER_CTX_new();
    uint8_t end[TAG_SIZE];
    int size = 0;
    bool good = gcm && EVP_DecryptInit_ex(gcm, EVP_aes_256_gcm(), NULL, ks->wrap, wrapped) == 1 &&
                EVP_DecryptUpdate(gcm, NULL, &size, identity, IDENTITY) == 1 &&
                EVP_DecryptUpdate(gcm, key, &size, wrapped + NONCE, FL_DATAKEY_SIZE) == 1 &&
                EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, wrapped + TAG_AT) == 1 &&
                EVP_DecryptFinal_ex(gcm, end, &size) == 1;

    EVP_CIPHER_CTX_free(gcm);
    ERR_clear_error();
    if (!good)
        explicit_bzero(key, FL_DATAKEY_SIZE);
    return good;
}

/* --- opening --- */

static void make_free(struct fl_keystore *ks, uint32_t slot)
{
    if (ks->free_count < FREE_MAX)
        ks->free_slots[ks->free_count++] = slot;
}

static struct entry *find(const struct fl_keystore *ks, struct fl_slice device)
{
    struct fl_map_node *node = fl_map_find(&ks->devices, device);

    return node ? fl_container_of(node, struct entry, node) : NULL;
}

static enum fl_error add(struct fl_keystore *ks, struct fl_slice device, struct entry **entry,
                         struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    *entry = calloc(1, sizeof **entry + device.size + 1);
    if (!*entry)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    memcpy((*entry)->name, device.data, device.size);
    error = fl_map_add(&ks->devices, &(*entry)->node, fl_slice_str((*entry)->name));
    if (error != FL_OK) {
        free(*entry);
        *entry = NULL;
    }
    return error;
}

/* The highest generation of a device counts; a lower one is destroyed by rule, and its slot is
 * free once nothing is in it. */
static enum fl_error take_slot(struct fl_keystore *ks, uint32_t slot, const uint8_t bytes[SLOT],
                               struct fl_context *ctx)
{
    struct fl_slice device = {0};
    uint32_t generation = 0;
    struct entry *entry = NULL;
    enum fl_error error = FL_OK;

    if (!read_identity(bytes, slot, &device, &generation)) {
        make_free(ks, slot);
        return FL_OK;
    }
    entry = find(ks, device);
    if (entry && entry->generation >= generation)
        return FL_OK;
    if (!entry)
        error = add(ks, device, &entry, ctx);
    if (error != FL_OK || !entry)
        return error;
    entry->slot = slot;
    entry->generation = generation;
    entry->destroyed = is_zero(bytes + IDENTITY, WRAPPED);
    return FL_OK;
}

static enum fl_error read_slots(struct fl_keystore *ks, uint64_t size, struct fl_context *ctx)
{
    uint8_t *bytes = malloc((size_t)READ_SLOTS * SLOT);
    enum fl_error error = FL_OK;

    if (!bytes)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    ks->slots = 1;
    while (error == FL_OK && (uint64_t)ks->slots * SLOT < size) {
        size_t got = 0;

        error = ks->files.read(ks->files.self, FL_KEYSTORE_FILE, (uint64_t)ks->slots * SLOT, bytes,
                               (size_t)READ_SLOTS * SLOT, &got, ctx);
        if (error == FL_OK && got < SLOT)
            break; /* the beginning of one that was never finished */
        for (size_t at = 0; error == FL_OK && at + SLOT <= got; at += SLOT)
            error = take_slot(ks, ks->slots++, bytes + at, ctx);
    }
    free(bytes);
    return error;
}

static enum fl_error begin_file(struct fl_keystore *ks, struct fl_context *ctx)
{
    uint8_t header[SLOT] = {0};
    enum fl_error error = FL_OK;

    memcpy(header, MAGIC, sizeof MAGIC);
    memcpy(header + CHECK_AT, ks->check, CHECK_SIZE);
    error =
        ks->files.write(ks->files.self, FL_KEYSTORE_FILE, 0, fl_slice(header, sizeof header), ctx);
    if (error == FL_OK)
        error = ks->files.sync(ks->files.self, FL_KEYSTORE_FILE, ctx);
    ks->slots = 1;
    return error;
}

static enum fl_error read_file(struct fl_keystore *ks, struct fl_context *ctx)
{
    uint8_t header[SLOT] = {0};
    uint64_t size = 0;
    size_t got = 0;
    enum fl_error error = ks->files.size(ks->files.self, FL_KEYSTORE_FILE, &size, ctx);

    if (error == FL_OK)
        error = ks->files.read(ks->files.self, FL_KEYSTORE_FILE, 0, header, SLOT, &got, ctx);
    if (error != FL_OK)
        return error;
    /* No slot is written before the header is on stable storage, so nothing is lost here. */
    if (size <= SLOT)
        return begin_file(ks, ctx);
    if (memcmp(header, MAGIC, sizeof MAGIC) != 0)
        return fl_fail(ctx, FL_EPARSE, "not a file of device keys");
    if (memcmp(header + CHECK_AT, ks->check, CHECK_SIZE) != 0)
        return fl_fail(ctx, FL_EAUTH,
                       "its keys are wrapped under another data key: keys/data.key and "
                       "keys/" FL_KEYSTORE_FILE " must be of the same hub");
    return read_slots(ks, size, ctx);
}

enum fl_error fl_keystore_open(const struct fl_files *files, const struct fl_random *random,
                               const uint8_t master[FL_DATAKEY_SIZE], struct fl_keystore **keystore,
                               struct fl_context *ctx)
{
    uint8_t check[FL_DATAKEY_SIZE];
    struct fl_keystore *ks = calloc(1, sizeof *ks);
    enum fl_error error = ks ? FL_OK : fl_fail(ctx, FL_ENOMEM, "out of memory");

    *keystore = NULL;
    if (!ks)
        return error;
    ks->files = *files;
    ks->random = random;
    error = fl_datakey_derive(master, WRAP_LABEL, ks->wrap, ctx);
    if (error == FL_OK)
        error = fl_datakey_derive(master, CHECK_LABEL, check, ctx);
    if (error == FL_OK) {
        memcpy(ks->check, check, sizeof ks->check);
        error = read_file(ks, ctx);
    }
    if (error != FL_OK) {
        fl_keystore_free(ks);
        return fl_fail_in(ctx, error, "keys/" FL_KEYSTORE_FILE);
    }
    *keystore = ks;
    return FL_OK;
}

void fl_keystore_free(struct fl_keystore *ks)
{
    struct fl_map_node *node = ks ? fl_map_next(&ks->devices, NULL) : NULL;

    if (!ks)
        return;
    while (node) {
        struct fl_map_node *next = fl_map_next(&ks->devices, node);

        fl_map_remove(&ks->devices, node);
        free(fl_container_of(node, struct entry, node));
        node = next;
    }
    fl_map_free(&ks->devices);
    explicit_bzero(ks, sizeof *ks);
    free(ks);
}

size_t fl_keystore_count(const struct fl_keystore *ks)
{
    return ks->devices.count;
}

/* --- making --- */

static enum fl_error write_part(struct fl_keystore *ks, uint32_t slot, size_t at,
                                struct fl_slice bytes, struct fl_context *ctx)
{
    enum fl_error error =
        ks->files.write(ks->files.self, FL_KEYSTORE_FILE, (uint64_t)slot * SLOT + at, bytes, ctx);

    if (error == FL_OK)
        error = ks->files.sync(ks->files.self, FL_KEYSTORE_FILE, ctx);
    return error;
}

/* Whether the identity of a slot that could not be written is on stable storage, nobody knows. It
 * must not be, before the slot gets another key. */
static enum fl_error clear_unsure(struct fl_keystore *ks, struct fl_context *ctx)
{
    static const uint8_t zeroes[IDENTITY];
    enum fl_error error = FL_OK;

    if (ks->unsure_slot == 0)
        return FL_OK;
    error = write_part(ks, ks->unsure_slot, 0, fl_slice(zeroes, sizeof zeroes), ctx);
    if (error == FL_OK)
        ks->unsure_slot = 0;
    return error;
}

/* First the key, then, when it is on stable storage, the identity that makes it count: a slot whose
 * identity is whole has a whole key, or one that was destroyed. */
static enum fl_error make(struct fl_keystore *ks, struct fl_slice device, uint32_t generation,
                          uint8_t key[FL_DATAKEY_SIZE], uint32_t *slot, struct fl_context *ctx)
{
    uint8_t identity[IDENTITY];
    uint8_t wrapped[WRAPPED];
    enum fl_error error = FL_OK;

    if (ks->free_count == 0 && ks->slots > 2U * FL_LIMIT_DEVICES)
        return fl_fail(ctx, FL_ELIMIT, "over %u device keys", 2U * FL_LIMIT_DEVICES);
    error = clear_unsure(ks, ctx);
    if (error != FL_OK)
        return error;
    *slot = ks->free_count ? ks->free_slots[ks->free_count - 1] : ks->slots;
    ks->random->fill(ks->random->self, key, FL_DATAKEY_SIZE);
    write_identity(identity, device, generation, *slot);
    error = wrap(ks, identity, key, wrapped, ctx);
    if (error == FL_OK)
        error = write_part(ks, *slot, IDENTITY, fl_slice(wrapped, sizeof wrapped), ctx);
    if (error == FL_OK)
        error = write_part(ks, *slot, 0, fl_slice(identity, sizeof identity), ctx);
    if (error != FL_OK) {
        ks->unsure_slot = *slot;
        return error;
    }
    if (ks->free_count)
        ks->free_count--;
    else
        ks->slots++;
    return FL_OK;
}

static enum fl_error create(struct fl_keystore *ks, struct fl_slice device, uint32_t generation,
                            uint8_t key[FL_DATAKEY_SIZE], struct fl_context *ctx)
{
    struct entry *entry = find(ks, device);
    bool had = entry != NULL;
    uint32_t slot = 0;
    enum fl_error error = had ? FL_OK : add(ks, device, &entry, ctx);

    if (error != FL_OK || !entry)
        return error;
    error = make(ks, device, generation, key, &slot, ctx);
    if (error != FL_OK) {
        explicit_bzero(key, FL_DATAKEY_SIZE);
        if (!had) {
            fl_map_remove(&ks->devices, &entry->node);
            free(entry);
        }
        return error;
    }
    entry->slot = slot;
    entry->generation = generation;
    entry->destroyed = false;
    return FL_OK;
}

/* --- giving out and destroying --- */

static enum fl_error give(struct fl_keystore *ks, const struct entry *entry,
                          uint8_t key[FL_DATAKEY_SIZE], struct fl_context *ctx)
{
    uint8_t bytes[SLOT] = {0};
    struct fl_slice device = {0};
    uint32_t generation = 0;
    size_t got = 0;
    enum fl_error error = ks->files.read(ks->files.self, FL_KEYSTORE_FILE,
                                         (uint64_t)entry->slot * SLOT, bytes, SLOT, &got, ctx);

    if (error != FL_OK)
        return error;
    if (got != SLOT || !read_identity(bytes, entry->slot, &device, &generation) ||
        !fl_slice_is(device, entry->name) || generation != entry->generation ||
        !unwrap(ks, bytes, bytes + IDENTITY, key))
        return fl_fail(ctx, FL_EIO,
                       "the key of %s in keys/" FL_KEYSTORE_FILE
                       " is damaged: restore the file from a backup, or erase the device's data",
                       entry->name);
    return FL_OK;
}

static enum fl_error destroy(struct fl_keystore *ks, struct entry *entry, struct fl_context *ctx)
{
    static const uint8_t zeroes[WRAPPED];
    enum fl_error error = FL_OK;

    if (entry->destroyed)
        return FL_OK;
    error = write_part(ks, entry->slot, IDENTITY, fl_slice(zeroes, sizeof zeroes), ctx);
    entry->destroyed = error == FL_OK;
    return error;
}

static uint32_t last_erased(const struct entry *entry)
{
    if (!entry)
        return 0;
    return entry->destroyed ? entry->generation : entry->generation - 1;
}

enum fl_error fl_keystore_get(struct fl_keystore *ks, struct fl_slice device, uint32_t generation,
                              bool may_create, uint8_t key[FL_DATAKEY_SIZE], uint32_t *erased,
                              struct fl_context *ctx)
{
    struct entry *entry = find(ks, device);
    enum fl_error error = FL_OK;

    *erased = last_erased(entry);
    memset(key, 0, FL_DATAKEY_SIZE);
    if (!fl_name_valid(device) || generation == 0)
        return fl_fail(ctx, FL_EINVAL, "not a device's name, or generation 0");
    if (generation <= *erased)
        return fl_fail(ctx, FL_EEXPIRED, "the key was destroyed");
    if (entry && !entry->destroyed && generation == entry->generation)
        return give(ks, entry, key, ctx);
    if (!may_create)
        return fl_fail(ctx, FL_ENOTFOUND,
                       "keys/" FL_KEYSTORE_FILE " has no such key: is it an older copy?");
    if (entry && !entry->destroyed) {
        fl_log(FL_LOG_WARN, TAG, "generation %u of %s was to be destroyed: it is now",
               entry->generation, entry->name);
        error = destroy(ks, entry, ctx);
    }
    if (error == FL_OK)
        error = create(ks, device, generation, key, ctx);
    *erased = last_erased(find(ks, device));
    return error;
}

enum fl_error fl_keystore_destroy(struct fl_keystore *ks, struct fl_slice device, uint32_t *erased,
                                  struct fl_context *ctx)
{
    struct entry *entry = find(ks, device);
    enum fl_error error = entry ? destroy(ks, entry, ctx) : FL_OK;

    *erased = last_erased(entry);
    return error;
}
