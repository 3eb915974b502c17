/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a fuzz target without a fuzzer: every file of its corpus folder as it is, then deterministic
 * mutations of each (every prefix, single-byte changes, a splice), so that each test run covers the
 * parser's error paths. A crash names the file and the mutation.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_MAX ((size_t)1 << 20)
#define MUTATIONS 400

static uint64_t state;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* An exact allocation for every run, so that ASan sees one byte too far. */
static void run_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void mutate(uint8_t *data, size_t size)
{
    size_t step = size / 64 + 1;

    for (size_t prefix = 0; prefix < size; prefix += step)
        run_copy(data, prefix);
    state = 0x9E3779B97F4A7C15U ^ size;
    for (int i = 0; i < MUTATIONS && size > 0; i++) {
        size_t at = (size_t)(next_random() % size);
        uint8_t before = data[at];
        data[at] = (uint8_t)next_random();
        run_copy(data, size);
        data[at] = before;
    }
}

static size_t run_file(const char *folder, const char *name)
{
    char path[4096];
    uint8_t *data = malloc(FILE_MAX);
    size_t size = 0;
    FILE *file = NULL;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (!file || !data)
        abort();
    size = fread(data, 1, FILE_MAX, file);
    (void)fclose(file);
    (void)fprintf(stderr, "replay %s (%zu bytes)\n", name, size);
    run_copy(data, size);
    mutate(data, size);
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    size_t files = 0;
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *entry = NULL;

    if (!folder) {
        (void)fprintf(stderr, "usage: %s CORPUS: the corpus folder must exist\n", argv[0]);
        return 2;
    }
    while ((entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.')
            files += run_file(argv[1], entry->d_name);
    (void)closedir(folder);
    if (files == 0) {
        (void)fprintf(stderr, "%s: the corpus is empty\n", argv[1]);
        return 1;
    }
    (void)printf("%zu files replayed\n", files);
    return 0;
}
