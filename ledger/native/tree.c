/* The root of a tree of RFC 6962 §2.1, of leaf hashes. */
#include <string.h>

#include "exported.h"
#include "sha256.h"

/* SHA-256(0x01 ‖ left ‖ right) of two hashes, one behind the other, in place of the left one. */
static void join(uint8_t pair[2 * SHA256_SIZE]) {
    Sha256 hash;
    sha256_begin(&hash);
    sha256_add(&hash, (const uint8_t *)"\1", 1);
    sha256_add(&hash, pair, 2 * SHA256_SIZE);
    sha256_end(&hash, pair);
}

/* Of `count` leaf hashes, at least one. */
EXPORTED void ledger_tree_root(const uint8_t *leaves, size_t count, uint8_t root[SHA256_SIZE]) {
    /* Roots of perfect trees, each smaller than the one before: as many as `count` has bits that are one. */
    uint8_t roots[(8 * sizeof count + 1) * SHA256_SIZE], *end = roots;
    for (size_t leaf = 0; leaf < count; leaf++) {
        memcpy(end, leaves + leaf * SHA256_SIZE, SHA256_SIZE);
        end += SHA256_SIZE;
        for (size_t rest = leaf; rest & 1; rest >>= 1) join((end -= SHA256_SIZE) - SHA256_SIZE);
    }
    while (end - roots > SHA256_SIZE) join((end -= SHA256_SIZE) - SHA256_SIZE);
    memcpy(root, roots, SHA256_SIZE);
}
