/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of device keys from anywhere, behind a good header: never a crash; a key is given out only
 * if it is one that was wrapped here, and what is destroyed stays destroyed.
 */
#include "base/assert.h"
#include "base/log.h"
#include "signer/keystore.h"
#include "test/twin/clock_twin.h"
#include "test/twin/files_twin.h"

#define SLOT 160

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void quiet(enum fl_log_level level, const char *tag, const char *text)
{
    (void)level;
    (void)tag;
    (void)text;
}

/* The header, and one real slot when the input says so; the input lies over what comes after. */
static void make_file(const struct fl_files *files, const struct fl_random *random,
                      const uint8_t master[FL_DATAKEY_SIZE], struct fl_slice in)
{
    struct fl_keystore *ks = NULL;
    uint8_t key[FL_DATAKEY_SIZE];
    uint32_t erased = 0;

    fl_assert(files->write(files->self, FL_KEYSTORE_FILE, 0, fl_slice_str(""), NULL) == FL_OK);
    fl_assert(fl_keystore_open(files, random, master, &ks, NULL) == FL_OK);
    if (in.size > 0 && (in.data[0] & 1))
        fl_assert(fl_keystore_get(ks, fl_slice_str("cam-01"), 1, true, key, &erased, NULL) ==
                  FL_OK);
    fl_keystore_free(ks);
    if (in.size > 3)
        fl_assert(files->write(files->self, FL_KEYSTORE_FILE,
                               SLOT + ((uint64_t)in.data[1] << 8 | in.data[2]) % 1024,
                               fl_slice_from(in, 3), NULL) == FL_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t master[FL_DATAKEY_SIZE] = {5};
    struct fl_files_twin *disk = fl_files_twin_new(1);
    struct fl_files files = fl_files_twin_files(disk);
    struct fl_slice device = fl_slice_str("cam-01");
    struct fl_random_twin dice;
    struct fl_keystore *ks = NULL;
    uint8_t key[FL_DATAKEY_SIZE];
    uint32_t erased = 0;

    fl_log_set_writer(quiet);
    fl_random_twin_init(&dice, 1);
    make_file(&files, &dice.random, master, fl_slice(data, size));
    fl_assert(fl_keystore_open(&files, &dice.random, master, &ks, NULL) == FL_OK);
    (void)!fl_keystore_get(ks, device, 1, false, key, &erased, NULL);
    if (fl_keystore_destroy(ks, device, &erased, NULL) == FL_OK && erased > 0) {
        uint32_t again = 0;

        fl_assert(fl_keystore_get(ks, device, erased, true, key, &again, NULL) == FL_EEXPIRED);
        if (erased < UINT32_MAX)
            fl_assert(fl_keystore_get(ks, device, erased + 1, true, key, &again, NULL) == FL_OK);
    }
    fl_keystore_free(ks);
    /* A header from anywhere is refused or begun anew. */
    fl_assert(files.write(files.self, FL_KEYSTORE_FILE, 0,
                          fl_slice(data, size < SLOT ? size : SLOT), NULL) == FL_OK);
    if (fl_keystore_open(&files, &dice.random, master, &ks, NULL) == FL_OK)
        fl_keystore_free(ks);
    fl_files_twin_free(disk);
    return 0;
}
