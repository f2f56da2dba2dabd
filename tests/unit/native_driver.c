/* The native part under the sanitizers: `sha256` of each item that comes in, or what `lines` of the third position hold.

   Items come as four bytes of size, in this machine's order, and as many more. Each is looked at where it is all that is
   allocated, so that no byte before or behind it can be read unseen. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sha256.h"

#define LINE_SIZE 96

int ledger_prepare(void);
int ledger_plain_lines(const uint8_t *text, size_t size, size_t longest, uint64_t first, size_t count, int statements,
                       void *lines);
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
            size_t count = 1;
            for (uint32_t i = 0; i < size; i++) count += item[i] == '\n';
            void *lines = calloc(count, LINE_SIZE);
            if (ledger_plain_lines(item, size, size, 3, count, 1, lines)) return 2;
            put(lines, count * LINE_SIZE);
            free(lines);
        }
        free(item);
    }
    return 0;
}
