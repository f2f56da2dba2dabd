/* The native part under the sanitizers: of each item that comes in the `sha256`, as leaf hashes the `root`, as `members` of
   three events what they are salted to, or as `lines` from the third position on what they hold: numbers of lines and
   bytes, numbers, leaf hashes, and those of statements.

   Items come as four bytes of size, in this machine's order, and as many more. Each is looked at where it is all that is
   allocated, so that no byte before or behind it can be read unseen. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sha256.h"

#define LINE_SIZE 36
#define MOST_MEMBERS 12

uint32_t ledger_prepare(void);
size_t ledger_plain_lines(const uint8_t *text, size_t size, size_t start, size_t longest, uint64_t first, size_t count,
                          void *lines, uint8_t *leaves, uint8_t *statements, size_t *stop);
void ledger_tree_root(const uint8_t *leaves, size_t count, uint8_t root[SHA256_SIZE]);

int ledger_salt_members(const uint8_t *members, size_t size, const uint8_t *salts, const uint32_t *counts, size_t events,
                        uint8_t *arrays, uint32_t *ends, char *digests);

static void put(const void *data, size_t size) {
    if (fwrite(data, 1, size, stdout) != size) exit(2);
}

int main(int arguments, char **argument) {
    uint32_t size;
    if (arguments != 2) return 2;
    ledger_prepare();
    while (fread(&size, 1, sizeof size, stdin) == sizeof size) {
        uint8_t *item = malloc(size), digest[SHA256_SIZE];
        if (fread(item, 1, size, stdin) != size) return 2;
        if (strcmp(argument[1], "sha256") == 0) {
            sha256(item, size, digest);
            put(digest, sizeof digest);
        } else if (strcmp(argument[1], "root") == 0) {
            ledger_tree_root(item, size / SHA256_SIZE, digest);
            put(digest, sizeof digest);
        } else if (strcmp(argument[1], "members") == 0) {
            /* As many of the first and the second event as the first two bytes say, and all others of the third. */
            const uint32_t number = size < 3 ? 0 : item[2] % MOST_MEMBERS;
            const uint32_t counts[3] = {size < 1 ? 0 : item[0] % 3, size < 2 ? 0 : item[1] % 3, number};
            const uint32_t all = counts[0] + counts[1] + counts[2], rest = size < 3 ? 0 : size - 3;
            uint8_t *members = malloc(rest), *salts = calloc(all, 16), *arrays = malloc(rest + 26 * (size_t)all);
            char *digests = malloc(44 * (size_t)all);
            uint32_t ends[3];
            if (rest > 0) memcpy(members, item + 3, rest);
            int failed = ledger_salt_members(members, rest, salts, counts, 3, arrays, ends, digests);
            put(&failed, sizeof failed);
            if (!failed) put(ends, sizeof ends), put(arrays, ends[2]), put(digests, 44 * (size_t)all);
            free(members), free(salts), free(arrays), free(digests);
        } else {
            size_t count = 1, stop;
            for (uint32_t i = 0; i < size; i++) count += item[i] == '\n';
            void *lines = malloc(count * LINE_SIZE);
            uint8_t *leaves = malloc(count * SHA256_SIZE), *statements = malloc(count * SHA256_SIZE);
            count = ledger_plain_lines(item, size, 0, size, 3, count, lines, leaves, statements, &stop);
            put((const uint32_t[]){(uint32_t)count, (uint32_t)stop}, 2 * sizeof(uint32_t));
            put(lines, count * LINE_SIZE);
            put(leaves, count * SHA256_SIZE);
            put(statements, count * SHA256_SIZE);
            free(lines), free(leaves), free(statements);
        }
        free(item);
    }
    return 0;
}
