/* SPDX-License-Identifier: Apache-2.0
 *
 * The first octet chooses: any bytes as a quote, as its signature, or as a TPM's public key. What
 * is refused has words; what is read lies inside the input.
 */
#include "trust/key.h"
#include "trust/quote.h"
#include "trust/tpm_public.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void read_quote(struct fl_slice bytes)
{
    struct fl_quote quote;
    struct fl_context ctx = {0};

    if (fl_quote_read(bytes, &quote, &ctx) != FL_OK) {
        require(ctx.text[0] != '\0');
        return;
    }
    require(quote.pcrs >> FL_LIMIT_PCRS == 0);
    require(quote.extra.size == 0 ||
            (quote.extra.data >= bytes.data &&
             quote.extra.data + quote.extra.size <= bytes.data + bytes.size));
}

static void read_signature(struct fl_slice bytes)
{
    static EVP_PKEY *key;
    struct fl_context ctx = {0};

    if (!key)
        require(fl_key_generate(&key, NULL) == FL_OK);
    require(fl_quote_verify(fl_slice_str("a quote"), bytes, key, &ctx) != FL_OK);
    require(ctx.text[0] != '\0');
}

static void read_key(struct fl_slice bytes)
{
    struct fl_tpm_public key;
    struct fl_context ctx = {0};
    char hash[FL_EK_HASH_TEXT];

    if (fl_tpm_public_read(bytes, &key, &ctx) != FL_OK) {
        require(ctx.text[0] != '\0' && !key.key);
        return;
    }
    require(fl_tpm_ek_hash(&key, hash, &ctx) == FL_OK);
    require(fl_tpm_public_is_ek(&key, &ctx) != FL_OK || fl_tpm_public_is_ak(&key, &ctx) != FL_OK);
    fl_tpm_public_free(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_slice bytes = fl_slice(data, size);

    if (size == 0)
        return 0;
    bytes = fl_slice_from(bytes, 1);
    if (data[0] % 3 == 0)
        read_quote(bytes);
    else if (data[0] % 3 == 1)
        read_signature(bytes);
    else
        read_key(bytes);
    return 0;
}
