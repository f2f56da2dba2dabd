/* URL-safe base64 without padding (RFC 4648 §5). */
#include "base64url.h"

const char base64url_alphabet[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64url(const uint8_t *data, size_t size, char *out) {
    const char *alphabet = base64url_alphabet, *start = out;
    for (; size >= 3; size -= 3, data += 3, out += 4) {
        uint32_t bits = (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];
        out[0] = alphabet[bits >> 18], out[1] = alphabet[bits >> 12 & 63];
        out[2] = alphabet[bits >> 6 & 63], out[3] = alphabet[bits & 63];
    }
    if (size > 0) {
        uint32_t bits = (uint32_t)data[0] << 16 | (size > 1 ? (uint32_t)data[1] << 8 : 0);
        *out++ = alphabet[bits >> 18], *out++ = alphabet[bits >> 12 & 63];
        if (size > 1) *out++ = alphabet[bits >> 6 & 63];
    }
    return (size_t)(out - start);
}

void base64url_of_digest(const uint8_t *text, size_t size, char spelled[DIGEST_TEXT]) {
    uint8_t digest[SHA256_SIZE];
    sha256(text, size, digest);
    base64url(digest, sizeof digest, spelled);
}
