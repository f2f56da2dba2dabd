/* SHA-256 (FIPS 180-4) of a message that comes in pieces. */
#ifndef LEDGER_SHA256_H
#define LEDGER_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32
#define SHA256_BLOCK 64

typedef struct {
    uint32_t state[8];
    uint64_t size;               /* bytes added so far */
    uint8_t rest[SHA256_BLOCK];  /* those of them that fill no block yet */
} Sha256;

/* To be called before anything else here, by one thread. */
void sha256_prepare(void);

void sha256_begin(Sha256 *hash);
void sha256_add(Sha256 *hash, const uint8_t *data, size_t size);
void sha256_end(Sha256 *hash, uint8_t digest[SHA256_SIZE]);

/* Of one piece. */
void sha256(const uint8_t *data, size_t size, uint8_t digest[SHA256_SIZE]);

#endif
