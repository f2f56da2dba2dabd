/* URL-safe base64 without padding (RFC 4648 §5). */
#ifndef LEDGER_BASE64URL_H
#define LEDGER_BASE64URL_H

#include <stddef.h>
#include <stdint.h>

#include "sha256.h"

#define DIGEST_TEXT 43  /* characters for a digest of 32 bytes */

extern const char base64url_alphabet[65];

/* Writes four characters for three bytes, two or three for what is left; answers how many. */
size_t base64url(const uint8_t *data, size_t size, char *out);

/* The base64url of SHA-256 over a text: what an entry commits to of a disclosure (RFC 9901 §4.2.3). */
void base64url_of_digest(const uint8_t *text, size_t size, char spelled[DIGEST_TEXT]);

#endif
