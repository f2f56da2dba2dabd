/* Salting members of events' data, and committing to them, as `ledger.disclosure.salt_members` does. */
#include <stdlib.h>
#include <string.h>

#include "base64url.h"
#include "exported.h"

#define SALT_SIZE 16
#define SALT_TEXT 22
#define SLOT (DIGEST_TEXT + 1)  /* a digest and a line feed */

static int compare(const void *one, const void *other) { return memcmp(one, other, DIGEST_TEXT); }

/* `["name",value]` to `["salt","name",value]`; answers its end. */
static uint8_t *salted(const uint8_t *member, size_t size, const uint8_t *salt, uint8_t *out) {
    memcpy(out, "[\"", 2), out += 2;
    base64url(salt, SALT_SIZE, (char *)out), out += SALT_TEXT;
    memcpy(out, "\",", 2), out += 2;
    memcpy(out, member + 1, size - 1);
    return out + size - 1;
}

/* Commits to the members of `events` events, of which each has so many of them as `counts` says.

   `members` are arrays of name and value in JSON without line feeds, ",\n," between each two; there are as many salts.
   `arrays` gets each event's salted arrays with a line feed between each two, and needs room for 26 bytes a member more
   than `members` has; `ends` gets where each event's end, `digests` the digests, each event's in their order, a line feed
   behind each. Answers 0, 1 if the members are not so many, or 2 if there is no memory. */
EXPORTED int ledger_salt_members(const uint8_t *members, size_t size, const uint8_t *salts, const uint32_t *counts,
                                 size_t events, uint8_t *arrays, uint32_t *ends, char *digests) {
    const uint8_t *at = members, *end = members + size;
    uint8_t *out = arrays;
    char *text = malloc((size + 64) / 3 * 4 + 8);
    if (text == NULL) return 2;
    for (size_t event = 0; event < events; event++) {
        char *first = digests;
        for (uint32_t number = 0; number < counts[event]; number++) {
            const uint8_t *feed = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL, *stop = end;
            if (feed != NULL && feed > at && feed[-1] == ',' && end - feed > 2 && feed[1] == ',') stop = feed - 1;
            if (at >= stop || (feed != NULL && stop == end)) {
                free(text);
                return 1;
            }
            if (number > 0) *out++ = '\n';
            uint8_t *array = out;
            out = salted(at, (size_t)(stop - at), salts, out);
            salts += SALT_SIZE;
            base64url_of_digest((const uint8_t *)text, base64url(array, (size_t)(out - array), text), digests);
            digests[DIGEST_TEXT] = '\n';
            digests += SLOT;
            at = feed == NULL ? end : feed + 2;
        }
        ends[event] = (uint32_t)(out - arrays);
        qsort(first, counts[event], SLOT, compare);
    }
    free(text);
    return at != end;
}
