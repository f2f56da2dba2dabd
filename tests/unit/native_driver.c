/* The native part under the sanitizers: of each item that comes in the `sha256`, as leaf hashes the `root`, or as `lines`
   from the third position on what they hold: numbers of lines and bytes, numbers, leaf hashes, and those of statements.

   Items come as four bytes of size, in this machine's order, and as many more. Each is looked at where it is all that is
   allocated, so that no byte before or behind it can be read unseen. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sha256.h"

#define LINE_SIZE 36

int ledger_prepare(void);
size_t ledger_plain_lines(const uint8_t *text, size_t size, size_t longest, uint64_t first, size_t count, void *lines,
                          uint8_t *leaves, uint8_t *statements, size_t *read);
void ledger_tree_root(const uint8_t *leaves, size_t count, uint8_t root[SHA256_SIZE]);

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
        } else {
            size_t count = 1, read;
            for (uint32_t i = 0; i < size; i++) count += item[i] == '\n';
            void *lines = malloc(count * LINE_SIZE);
            uint8_t *leaves = malloc(count * SHA256_SIZE), *statements = malloc(count * SHA256_SIZE);
            count = ledger_plain_lines(item, size, size, 3, count, lines, leaves, statements, &read);
            put((const uint32_t[]){(uint32_t)count, (uint32_t)read}, 2 * sizeof(uint32_t));
            put(lines, count * LINE_SIZE);
            put(leaves, count * SHA256_SIZE);
            put(statements, count * SHA256_SIZE);
            free(lines), free(leaves), free(statements);
        }
        free(item);
    }
    return 0;
}
