/* SHA-256 (FIPS 180-4), by the processor's own instructions where an x86-64 has them. */
#include "sha256.h"

#include <string.h>

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotated(uint32_t word, int by) { return word >> by | word << (32 - by); }

static uint32_t word_at(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* FIPS 180-4 §6.2.2. Its eight variables are not moved: in round t, variable i is s[(i - t) mod 8]. */
static void compress_anywhere(uint32_t state[8], const uint8_t *data, size_t blocks) {
    for (; blocks > 0; blocks--, data += SHA256_BLOCK) {
        uint32_t w[64], s[8];
        for (int t = 0; t < 16; t++) w[t] = word_at(data + 4 * t);
        for (int t = 16; t < 64; t++) {
            uint32_t x = w[t - 15], y = w[t - 2];
            w[t] = w[t - 16] + w[t - 7] + (rotated(x, 7) ^ rotated(x, 18) ^ x >> 3)
                 + (rotated(y, 17) ^ rotated(y, 19) ^ y >> 10);
        }
        memcpy(s, state, sizeof s);
#define VARIABLE(i) s[(unsigned)(i - t) % 8]
#pragma GCC unroll 8
        for (int t = 0; t < 64; t++) {
            uint32_t a = VARIABLE(0), b = VARIABLE(1), c = VARIABLE(2), e = VARIABLE(4), f = VARIABLE(5);
            uint32_t first = VARIABLE(7) + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25))
                           + ((e & f) ^ (~e & VARIABLE(6))) + K[t] + w[t];
            VARIABLE(3) += first;
            VARIABLE(7) = first + (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        }
#undef VARIABLE
        for (int i = 0; i < 8; i++) state[i] += s[i];
    }
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(LEDGER_PORTABLE)
#include <cpuid.h>
#include <immintrin.h>

static int has_instructions(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1)) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

/* The instructions keep the state as two vectors of words A B E F and C D G H, and do two rounds each. */
__attribute__((target("sha,sse4.1,ssse3")))
static void compress_by_instructions(uint32_t state[8], const uint8_t *data, size_t blocks) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(badc, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
    for (; blocks > 0; blocks--, data += SHA256_BLOCK) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), big_endian);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            __m128i *word = &w[i % 4], next = w[(i + 3) % 4];
            __m128i sum = _mm_add_epi32(*word, _mm_loadu_si128((const __m128i *)(K + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
            __m128i made = _mm_sha256msg1_epu32(*word, w[(i + 1) % 4]);
            made = _mm_add_epi32(made, _mm_alignr_epi8(next, w[(i + 2) % 4], 4));
            *word = _mm_sha256msg2_epu32(made, next);  /* of the four words 16 on */
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}
#else
static int has_instructions(void) { return 0; }
#define compress_by_instructions compress_anywhere
#endif

static int by_instructions = 0;

void sha256_prepare(void) { by_instructions = has_instructions(); }

static void compress(uint32_t state[8], const uint8_t *data, size_t blocks) {
    if (by_instructions) compress_by_instructions(state, data, blocks);
    else compress_anywhere(state, data, blocks);
}

void sha256_begin(Sha256 *hash) {
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(hash->state, initial, sizeof initial);
    hash->size = 0;
}

void sha256_add(Sha256 *hash, const uint8_t *data, size_t size) {
    size_t held = hash->size % SHA256_BLOCK;
    hash->size += size;
    if (held > 0) {
        size_t missing = SHA256_BLOCK - held, some = size < missing ? size : missing;
        memcpy(hash->rest + held, data, some);
        if (some < missing) return;
        compress(hash->state, hash->rest, 1);
        data += some;
        size -= some;
    }
    size_t blocks = size / SHA256_BLOCK;
    if (blocks > 0) compress(hash->state, data, blocks);
    memcpy(hash->rest, data + blocks * SHA256_BLOCK, size % SHA256_BLOCK);
}

void sha256_end(Sha256 *hash, uint8_t digest[SHA256_SIZE]) {
    uint8_t last[2 * SHA256_BLOCK] = {0};
    size_t held = hash->size % SHA256_BLOCK, size = held + 9 <= SHA256_BLOCK ? SHA256_BLOCK : sizeof last;
    uint64_t bits = hash->size * 8;
    memcpy(last, hash->rest, held);
    last[held] = 0x80;
    for (size_t i = 1; i <= 8; i++, bits >>= 8) last[size - i] = (uint8_t)bits;
    compress(hash->state, last, size / SHA256_BLOCK);
    for (int i = 0; i < 8; i++, digest += 4) {
        uint32_t word = hash->state[i];
        digest[0] = (uint8_t)(word >> 24), digest[1] = (uint8_t)(word >> 16);
        digest[2] = (uint8_t)(word >> 8), digest[3] = (uint8_t)word;
    }
}

void sha256(const uint8_t *data, size_t size, uint8_t digest[SHA256_SIZE]) {
    Sha256 hash;
    sha256_begin(&hash);
    sha256_add(&hash, data, size);
    sha256_end(&hash, digest);
}
