/* Plain lines of a package's entries, as `ledger.evidence.plain` defines them, shown to hold many at a time.

   Nothing is refused here. A line that is not shown to hold, be it wrong or only spelled otherwise than most are, is
   left to Python. So whatever is doubtful is "no"; and each function reads between two pointers that it is given, moves
   the first one over what it has read, and never looks at or behind the second. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64url.h"
#include "exported.h"
#include "sha256.h"

#define MAX_SHOWN 64    /* disclosures of a line */
#define MAX_VISIBLE 64  /* visible members of an entry */
#define MAX_NAMES 32    /* of an object within a value */
#define MAX_DEPTH 16    /* of a value */
#define MAX_ADDED 400
#define MAX_INTEGER "9007199254740991"

#ifndef LEDGER_FORM
#define LEDGER_FORM 0
#endif

/* What a plain line was shown to hold. `added` and `type` are where their text is in what was given, as it is spelled
   there: `added` is what the ledger added to the statement, from its comma on. */
typedef struct {
    uint32_t added_at, added_size, like_added;  /* like_…: a line with the same text there, often one of before */
    uint32_t type_at, type_size, like_type;
    uint32_t phase;  /* 0 before, 1 transit, 2 storage */
    uint32_t committed, shown;  /* numbers of members */
} Line;

typedef struct {
    const uint8_t *at, *end;
} Text;

typedef struct {
    const uint8_t *start;
    size_t size;
} Span;

typedef struct {
    Span names[MAX_SHOWN + MAX_VISIBLE];
    size_t count;
} Names;

/* --- characters ------------------------------------------------------------------------------------------------ */

enum {
    DIGIT = 1, HEX = 2,
    FIRST_OF_ID = 4, IN_ID = 8, FIRST_OF_SOURCE = 16, IN_SOURCE = 32, FIRST_OF_TYPE = 64, IN_TYPE = 128,
};
static uint8_t kinds[256];
static uint8_t sextets[256];  /* of base64url; 64 for any other character */

static void mark(const char *characters, uint8_t kind) {
    for (; *characters; characters++) kinds[(uint8_t)*characters] |= kind;
}

/* Prepares all else here, and must be called before it. Answers of which sources this is: see `ledger.native.build`. */
EXPORTED uint32_t ledger_prepare(void) {
    static bool is_prepared = false;
    if (is_prepared) return LEDGER_FORM;
    is_prepared = true;
    sha256_prepare();
    memset(sextets, 64, sizeof sextets);
    for (uint8_t i = 0; i < 64; i++) sextets[(uint8_t)base64url_alphabet[i]] = i;
    mark("ABCDEFGHIJKLMNOPQRSTUVWXYZ", FIRST_OF_ID | IN_ID | FIRST_OF_SOURCE | IN_SOURCE);
    mark("abcdefghijklmnopqrstuvwxyz0123456789",
         FIRST_OF_ID | IN_ID | FIRST_OF_SOURCE | IN_SOURCE | FIRST_OF_TYPE | IN_TYPE);
    mark("0123456789", DIGIT | HEX);
    mark("abcdef", HEX);
    mark(":._~+=/-", IN_ID);
    mark(":._~/-", IN_SOURCE);
    mark("/", FIRST_OF_SOURCE);
    mark(".-", IN_TYPE);
    return LEDGER_FORM;
}

static size_t left(const Text *text) { return (size_t)(text->end - text->at); }

static bool take(Text *text, const char *wanted, size_t size) {
    if (left(text) < size || memcmp(text->at, wanted, size) != 0) return false;
    text->at += size;
    return true;
}
#define TAKE(text, wanted) take(text, wanted, sizeof wanted - 1)

static bool take_byte(Text *text, uint8_t byte) {
    if (text->at == text->end || *text->at != byte) return false;
    text->at++;
    return true;
}

/* As many characters of a kind as there are, up to `most`. */
static size_t take_kind(Text *text, uint8_t kind, size_t most) {
    const uint8_t *start = text->at;
    while (text->at < text->end && (size_t)(text->at - start) < most && kinds[*text->at] & kind) text->at++;
    return (size_t)(text->at - start);
}

static bool same(Span one, Span other) {
    return one.size == other.size && memcmp(one.start, other.start, one.size) == 0;
}

/* One more name; no if it is there already, or there are too many. */
static bool add_name(Names *names, Span name, size_t most) {
    if (names->count == most) return false;
    for (size_t i = 0; i < names->count; i++)
        if (same(names->names[i], name)) return false;
    names->names[names->count++] = name;
    return true;
}

/* Eight bytes at once. Of those that are what is asked for, the highest bit comes back set; of a byte behind one that
   is, it may be, too. */
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
static uint64_t eight(const uint8_t *at) {
    uint64_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
}
static uint64_t beyond_ascii(uint64_t bytes) { return bytes & EACH(0x80); }
static uint64_t below(uint64_t bytes, uint8_t least) { return (bytes - EACH(least)) & ~bytes & EACH(0x80); }
static uint64_t equal(uint64_t bytes, uint8_t one) { return below(bytes ^ EACH(one), 1); }

/* Whether there are eight bytes more that stand for themselves within a JSON string, and are ASCII. */
static bool stand_for_themselves(const Text *text) {
    if (left(text) < 8) return false;
    uint64_t bytes = eight(text->at);
    return (beyond_ascii(bytes) | below(bytes, 0x20) | equal(bytes, '"') | equal(bytes, '\\')) == 0;
}

/* Whether bytes are UTF-8 (RFC 3629 §4). */
static bool is_utf8(const uint8_t *at, const uint8_t *end) {
    while (at < end) {
        if (end - at >= 8 && !beyond_ascii(eight(at))) {
            at += 8;
            continue;
        }
        uint8_t first = *at++;
        if (first < 0x80) continue;
        uint8_t low = 0x80, high = 0xbf;  /* of the second byte */
        int more;
        if (first >= 0xc2 && first <= 0xdf) more = 1;
        else if (first >= 0xe0 && first <= 0xef) {
            more = 2;
            if (first == 0xe0) low = 0xa0;
            if (first == 0xed) high = 0x9f;
        } else if (first >= 0xf0 && first <= 0xf4) {
            more = 3;
            if (first == 0xf0) low = 0x90;
            if (first == 0xf4) high = 0x8f;
        } else return false;
        if (end - at < more || *at < low || *at > high) return false;
        for (at++, more--; more > 0; more--, at++)
            if (*at < 0x80 || *at > 0xbf) return false;
    }
    return true;
}

/* --- values ---------------------------------------------------------------------------------------------------- */

/* How values may be spelled: in any way that reading takes for certain, or in the canonical one. */
typedef enum { ANY, CANONICAL } Spelling;

/* Which escapes a string may have. */
typedef enum { NONE, SHORT, ALL } Escapes;

/* What stands behind a backslash. Surrogates are left to Python; the short escapes are also the canonical ones. */
static bool take_escape(Text *text, Escapes escapes) {
    if (escapes == NONE || text->at == text->end) return false;
    uint8_t byte = *text->at++;
    if (byte == '"' || byte == '\\') return true;
    if (byte == 'b' || byte == 'f' || byte == 'n' || byte == 'r' || byte == 't') return true;
    if (escapes == SHORT) return false;
    if (byte == '/') return true;
    const uint8_t *digits = text->at;
    return byte == 'u' && take_kind(text, HEX, 4) == 4 && !(digits[0] == 'd' && digits[1] >= '8');
}

/* A string, from behind its first quotation mark to behind its last. Without escapes, `inside` is what it says. */
static bool take_string(Text *text, Escapes escapes, Span *inside) {
    const uint8_t *start = text->at;
    while (stand_for_themselves(text)) text->at += 8;
    while (text->at < text->end) {
        uint8_t byte = *text->at++;
        if (byte == '"') {
            *inside = (Span){start, (size_t)(text->at - 1 - start)};
            return true;
        }
        if (byte < 0x20 || (byte == '\\' && !take_escape(text, escapes))) return false;
    }
    return false;
}

/* An integer within ±(2^53−1); in any spelling also one of up to 15 digits with a fraction, and a negative exponent. */
static bool take_number(Text *text, Spelling spelling) {
    bool minus = take_byte(text, '-');
    const uint8_t *digits = text->at;
    size_t count = 1;
    if (take_byte(text, '0')) {
        if (spelling == CANONICAL && minus) return false;
    } else if ((count = take_kind(text, DIGIT, 17)) == 0) return false;
    const size_t most = sizeof MAX_INTEGER - 1;
    if (count > most || (count == most && memcmp(digits, MAX_INTEGER, most) > 0)) return false;
    if (spelling == ANY && count < most) {
        if (take_byte(text, '.') && take_kind(text, DIGIT, 30) == 0) return false;
        if (TAKE(text, "e-") && take_kind(text, DIGIT, 2) == 0) return false;
    }
    return text->at == text->end || !(kinds[*text->at] & DIGIT);
}

static bool take_value(Text *text, Spelling spelling, int depth);

static bool take_elements(Text *text, Spelling spelling, int depth) {
    if (take_byte(text, ']')) return true;
    do {
        if (!take_value(text, spelling, depth)) return false;
    } while (take_byte(text, ','));
    return take_byte(text, ']');
}

/* A name from behind its first quotation mark, up to behind its colon. Where the order of names counts they are ASCII:
   of others, that of UTF-16 is not that of UTF-8. */
static bool take_name(Text *text, bool is_ascii, Span *name) {
    if (!take_string(text, NONE, name)) return false;
    if (is_ascii)
        for (size_t i = 0; i < name->size; i++)
            if (name->start[i] > 0x7f) return false;
    return take_byte(text, ':');
}

static bool comes_before(Span one, Span other) {
    int order = memcmp(one.start, other.start, one.size < other.size ? one.size : other.size);
    return order < 0 || (order == 0 && one.size < other.size);
}

static bool take_members(Text *text, Spelling spelling, int depth) {
    if (take_byte(text, '}')) return true;
    Span names[MAX_NAMES];
    size_t count = 0;
    do {
        Span name;
        if (count == MAX_NAMES || !take_byte(text, '"') || !take_name(text, spelling == CANONICAL, &name)) return false;
        if (spelling == CANONICAL) {
            if (count > 0 && !comes_before(names[count - 1], name)) return false;
        } else {
            for (size_t i = 0; i < count; i++)
                if (same(names[i], name)) return false;
        }
        names[count++] = name;
        if (!take_value(text, spelling, depth)) return false;
    } while (take_byte(text, ','));
    return take_byte(text, '}');
}

/* A value without white space, of less depth, and with fewer members, than reading takes. */
static bool take_value(Text *text, Spelling spelling, int depth) {
    Span inside;
    if (text->at == text->end || depth == MAX_DEPTH) return false;
    switch (*text->at) {
        case '"': text->at++; return take_string(text, spelling == ANY ? ALL : SHORT, &inside);
        case '[': text->at++; return take_elements(text, spelling, depth + 1);
        case '{': text->at++; return take_members(text, spelling, depth + 1);
        case 't': return TAKE(text, "true");
        case 'f': return TAKE(text, "false");
        case 'n': return TAKE(text, "null");
        default: return take_number(text, spelling);
    }
}

/* --- disclosures ----------------------------------------------------------------------------------------------- */

/* base64url without padding, its spare bits zero. `out` has room for three bytes in four characters. */
static bool decode(Span text, uint8_t *out, size_t *size) {
    const uint8_t *at = text.start;
    uint8_t *start = out;
    uint32_t bad = 0;
    for (size_t groups = text.size / 4; groups > 0; groups--, at += 4, out += 3) {
        uint32_t a = sextets[at[0]], b = sextets[at[1]], c = sextets[at[2]], d = sextets[at[3]];
        uint32_t bits = a << 18 | b << 12 | c << 6 | d;
        bad |= a | b | c | d;
        out[0] = (uint8_t)(bits >> 16), out[1] = (uint8_t)(bits >> 8), out[2] = (uint8_t)bits;
    }
    size_t last = text.size % 4;
    if (last == 1) return false;
    if (last > 1) {
        uint32_t a = sextets[at[0]], b = sextets[at[1]], c = last == 3 ? sextets[at[2]] : 0;
        bad |= a | b | c;
        if (last == 2 ? b & 15 : c & 3) return false;
        *out++ = (uint8_t)(a << 2 | b >> 4);
        if (last == 3) *out++ = (uint8_t)(b << 4 | c >> 2);
    }
    *size = (size_t)(out - start);
    return (bad & 64) == 0;
}

/* Whether this is `["salt","name",value]`; `name` is the name. Those that RFC 9901 reserves begin with _ or a dot. */
static bool read_disclosure(Text array, Span *name) {
    Span salt;
    if (!is_utf8(array.at, array.end)) return false;
    if (!TAKE(&array, "[\"") || !take_string(&array, NONE, &salt) || salt.size < 22) return false;
    for (size_t i = 0; i < salt.size; i++)
        if (sextets[salt.start[i]] == 64) return false;
    if (!TAKE(&array, ",\"") || !take_string(&array, NONE, name)) return false;
    if (name->size > 0 && (name->start[0] == '_' || name->start[0] == '.')) return false;
    return take_byte(&array, ',') && take_value(&array, ANY, 1) && take_byte(&array, ']') && array.at == array.end;
}

/* --- entries --------------------------------------------------------------------------------------------------- */

/* Digests as they stand in an entry: `count` of them, `STEP` characters from one to the next. */
#define STEP (DIGEST_TEXT + 3)
typedef struct {
    const uint8_t *first;
    size_t count;
} Digests;

static bool holds(Digests digests, const char wanted[DIGEST_TEXT]) {
    size_t low = 0, high = digests.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(digests.first + middle * STEP, wanted, DIGEST_TEXT);
        if (order == 0) return true;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

/* Digests in their order, none twice, up to the bracket that closes them. */
static bool take_digests(Text *text, Digests *digests) {
    *digests = (Digests){NULL, 0};
    if (take_byte(text, ']')) return true;
    do {
        if (!take_byte(text, '"') || left(text) < DIGEST_TEXT) return false;
        const uint8_t *digest = text->at;
        for (int i = 0; i < DIGEST_TEXT; i++)
            if (sextets[digest[i]] == 64) return false;
        if (sextets[digest[DIGEST_TEXT - 1]] & 3) return false;  /* 256 bits are 43 characters less two bits */
        text->at += DIGEST_TEXT;
        if (digests->count++ == 0) digests->first = digest;
        else if (memcmp(digest - STEP, digest, DIGEST_TEXT) >= 0) return false;
        if (!take_byte(text, '"')) return false;
    } while (take_byte(text, ','));
    return take_byte(text, ']');
}

/* Members behind `_sd_alg`, each behind its comma, in canonical spelling. */
static bool take_visible(Text *text, Names *names) {
    Span before = {(const uint8_t *)"_sd_alg", 7};
    while (take_byte(text, ',')) {
        Span name;
        if (!take_byte(text, '"') || !take_name(text, true, &name) || !comes_before(before, name)) return false;
        before = name;
        if (!add_name(names, name, MAX_VISIBLE) || !take_value(text, CANONICAL, 1)) return false;
    }
    return true;
}

static bool take_text(Text *text, uint8_t first, uint8_t kind, size_t most) {
    if (text->at == text->end || !(kinds[*text->at] & first)) return false;
    take_kind(text, kind, most);
    return take_byte(text, '"');
}

static bool take_two(Text *text, int least, int most, int *number) {
    if (left(text) < 2 || !(kinds[text->at[0]] & DIGIT) || !(kinds[text->at[1]] & DIGIT)) return false;
    *number = (text->at[0] - '0') * 10 + text->at[1] - '0';
    text->at += 2;
    return *number >= least && *number <= most;
}

/* A time by RFC 3339, of a day that there is, and one of more on either side. */
static bool take_time(Text *text) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int century, year, month, day, number;
    if (!take_two(text, 0, 99, &century) || !take_two(text, 0, 99, &year) || !take_byte(text, '-')) return false;
    year += century * 100;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (year < 2 || year > 9998 || !take_two(text, 1, 12, &month) || !take_byte(text, '-')) return false;
    if (!take_two(text, 1, days[month - 1] + (leap && month == 2), &day) || !take_byte(text, 'T')) return false;
    if (!take_two(text, 0, 23, &number) || !take_byte(text, ':') || !take_two(text, 0, 59, &number)) return false;
    if (!take_byte(text, ':') || !take_two(text, 0, 59, &number)) return false;
    if (take_byte(text, '.') && take_kind(text, DIGIT, 9) == 0) return false;
    if (!take_byte(text, 'Z')) {
        if (!take_byte(text, '+') && !take_byte(text, '-')) return false;
        if (!take_two(text, 0, 23, &number) || !take_byte(text, ':') || !take_two(text, 0, 59, &number)) return false;
    }
    return take_byte(text, '"');
}

static bool take_trace(Text *text) {
    return take_kind(text, HEX, 2) == 2 && take_byte(text, '-') && take_kind(text, HEX, 32) == 32 && take_byte(text, '-')
        && take_kind(text, HEX, 16) == 16 && take_byte(text, '-') && take_kind(text, HEX, 2) == 2 && take_byte(text, '"');
}

/* The attributes of `ledger.entry.ATTRIBUTES` in their order, up to behind the brace that closes them. */
static bool take_attributes(Text *text, uint32_t *phase, Span *type) {
    if (TAKE(text, "\"datacontenttype\":\"") && !TAKE(text, "application/json\",")) return false;
    if (TAKE(text, "\"dataschema\":\"") && !(take_text(text, FIRST_OF_SOURCE, IN_SOURCE, 255) && take_byte(text, ',')))
        return false;
    if (!TAKE(text, "\"id\":\"") || !take_text(text, FIRST_OF_ID, IN_ID, 128)) return false;
    if (TAKE(text, ",\"phase\":\"before\"")) *phase = 0;
    else if (TAKE(text, ",\"phase\":\"transit\"")) *phase = 1;
    else if (TAKE(text, ",\"phase\":\"storage\"")) *phase = 2;
    else return false;
    if (!TAKE(text, ",\"source\":\"") || !take_text(text, FIRST_OF_SOURCE, IN_SOURCE, 255)) return false;
    if (!TAKE(text, ",\"specversion\":\"1.0\",\"subject\":\"") || !take_text(text, FIRST_OF_ID, IN_ID, 128)) return false;
    if (!TAKE(text, ",\"time\":\"") || !take_time(text)) return false;
    if (TAKE(text, ",\"traceparent\":\"") && !take_trace(text)) return false;
    if (!TAKE(text, ",\"type\":\"")) return false;
    type->start = text->at;
    if (!take_text(text, FIRST_OF_TYPE, IN_TYPE, 128)) return false;
    type->size = (size_t)(text->at - type->start) - 1;
    return take_byte(text, '}');
}

/* What an entry says, as far as it is needed. `added` is its end, from behind its event on. */
typedef struct {
    Digests digests;
    Names visible;
    uint32_t phase;
    Span type;
    Text added;
} Entry;

static bool read_entry(Text text, Entry *entry) {
    entry->visible.count = 0;
    if (!is_utf8(text.at, text.end)) return false;
    if (!TAKE(&text, "{\"data\":{\"_sd\":[") || !take_digests(&text, &entry->digests)) return false;
    if (!TAKE(&text, ",\"_sd_alg\":\"sha-256\"") || !take_visible(&text, &entry->visible)) return false;
    if (!TAKE(&text, "},\"event\":{") || !take_attributes(&text, &entry->phase, &entry->type)) return false;
    entry->added = text;
    for (const uint8_t *at = text.at; at < text.end; at++)
        if (*at > 0x7f || *at == '\\') return false;
    return left(&text) <= MAX_ADDED;
}

static void leaf_hash(const Text pieces[], size_t count, uint8_t digest[SHA256_SIZE]) {
    Sha256 hash;
    sha256_begin(&hash);
    sha256_add(&hash, (const uint8_t *)"", 1);  /* RFC 6962 §2.1: a leaf is hashed behind a zero byte */
    for (size_t i = 0; i < count; i++) sha256_add(&hash, pieces[i].at, left(&pieces[i]));
    sha256_end(&hash, digest);
}

/* --- lines ----------------------------------------------------------------------------------------------------- */

/* A JSON string's inside with no escapes but those of quotation marks and backslashes. */
static bool unescape(Text text, uint8_t *out, size_t *size) {
    uint8_t *start = out;
    while (text.at < text.end) {
        for (; stand_for_themselves(&text); text.at += 8, out += 8) memcpy(out, text.at, 8);
        /* Up to behind the next escape. */
        while (text.at < text.end) {
            uint8_t byte = *text.at++;
            if (byte == '\\') {
                if (text.at == text.end || (*text.at != '"' && *text.at != '\\')) return false;
                *out++ = *text.at++;
                break;
            }
            if (byte < 0x20 || byte == '"') return false;
            *out++ = byte;
        }
    }
    *size = (size_t)(out - start);
    return true;
}

/* `"text","text"…` up to the bracket that closes them. */
static bool take_texts(Text *line, Span texts[MAX_SHOWN], size_t *count) {
    *count = 0;
    if (take_byte(line, ']')) return true;
    do {
        if (*count == MAX_SHOWN || !take_byte(line, '"')) return false;
        const uint8_t *start = line->at, *end = memchr(start, '"', left(line));
        if (end == NULL) return false;
        texts[(*count)++] = (Span){start, (size_t)(end - start)};
        line->at = end + 1;
    } while (take_byte(line, ','));
    return take_byte(line, ']');
}

/* Whether each disclosure opens one digest of the entry, under a name of its own. As names differ, so do digests. */
static bool are_opened(const Span texts[], size_t count, Entry *entry, uint8_t *room) {
    for (size_t i = 0; i < count; i++) {
        char spelled[DIGEST_TEXT];
        size_t size;
        Span name;
        if (!decode(texts[i], room, &size) || !read_disclosure((Text){room, room + size}, &name)) return false;
        if (!add_name(&entry->visible, name, MAX_SHOWN + MAX_VISIBLE)) return false;
        base64url_of_digest(texts[i].start, texts[i].size, spelled);
        if (!holds(entry->digests, spelled)) return false;
        room += size;  /* where the name is kept */
    }
    return true;
}

/* A line without its line feed. `room` has as many bytes as the line: entry and decoded disclosures take fewer. */
static bool read_line(const uint8_t *whole, Text line, uint64_t position, uint8_t *room, Line *out, uint8_t *leaf,
                      uint8_t *statement) {
    static const Text statement_end = {(const uint8_t *)",\"v\":1}", (const uint8_t *)",\"v\":1}" + 7};
    char end[40];
    Span texts[MAX_SHOWN];
    size_t count, size;
    Entry entry;
    int end_size = snprintf(end, sizeof end, "\",\"position\":%llu}", (unsigned long long)position);
    if (left(&line) < (size_t)end_size) return false;
    line.end -= end_size;
    if (memcmp(line.end, end, (size_t)end_size) != 0) return false;
    if (!TAKE(&line, "{\"disclosures\":[") || !take_texts(&line, texts, &count)) return false;
    if (!TAKE(&line, ",\"entry\":\"") || !unescape(line, room, &size)) return false;
    const Text text = {room, room + size};
    if (!read_entry(text, &entry)) return false;
    size_t committed = entry.digests.count;
    if (!are_opened(texts, count, &entry, room + size)) return false;

    leaf_hash(&text, 1, leaf);
    if (statement != NULL) leaf_hash((const Text[]){{text.at, entry.added.at}, statement_end}, 2, statement);
    /* Back to where they are spelled: there each quotation mark has its escape. */
    size_t quoted = left(&entry.added);
    for (const uint8_t *at = entry.added.at; at < entry.added.end; at++) quoted += *at == '"';
    const uint8_t *added = line.end - quoted, *type = added - 3 - entry.type.size;
    *out = (Line){
        .added_at = (uint32_t)(added - whole), .added_size = (uint32_t)quoted,
        .type_at = (uint32_t)(type - whole), .type_size = (uint32_t)entry.type.size,
        .phase = entry.phase, .committed = (uint32_t)committed, .shown = (uint32_t)count,
    };
    return true;
}

/* The lines that had types of late. */
#define KEPT 8
typedef struct {
    uint32_t lines[KEPT];
    size_t count, next;
} Recent;

static void liken(const uint8_t *text, Line *lines, size_t number, Recent *recent) {
    Line *line = &lines[number];
    line->like_added = line->like_type = (uint32_t)number;
    if (number > 0) {
        const Line *before = &lines[number - 1];
        if (same((Span){text + line->added_at, line->added_size}, (Span){text + before->added_at, before->added_size}))
            line->like_added = before->like_added;
    }
    for (size_t i = 0; i < recent->count; i++) {
        const Line *other = &lines[recent->lines[i]];
        if (same((Span){text + line->type_at, line->type_size}, (Span){text + other->type_at, other->type_size})) {
            line->like_type = recent->lines[i];
            return;
        }
    }
    recent->lines[recent->next] = (uint32_t)number;
    recent->next = (recent->next + 1) % KEPT;
    if (recent->count < KEPT) recent->count++;
}

/* How many of at most `count` lines are plain, one behind the other from `start` of a text on; the first is of position
   `first`. Their leaf hashes go to `leaves`, those of the statements to `statements` unless that is NULL, and to `stop`,
   where the last of them ends.

   Each line stands with its line feed: one that has none, is longer than `longest`, is not there, or ends beyond 4 GiB is
   not plain, nor is any for which there is no memory, or of a position over 2^53−1. */
EXPORTED size_t ledger_plain_lines(const uint8_t *text, size_t size, size_t start, size_t longest, uint64_t first,
                                   size_t count, Line *lines, uint8_t *leaves, uint8_t *statements, size_t *stop) {
    uint8_t *room = NULL;
    size_t room_size = 0, number = 0;
    Recent recent = {.count = 0, .next = 0};
    const uint8_t *at = text + start, *end = text + (size < UINT32_MAX ? size : UINT32_MAX);
    for (; number < count && at < end && first + number < UINT64_C(1) << 53; number++) {
        const uint8_t *feed = memchr(at, '\n', (size_t)(end - at));
        if (feed == NULL || (size_t)(feed - at) >= longest || feed == at) break;
        size_t line_size = (size_t)(feed - at);
        if (line_size > room_size) {
            /* No byte more, so that the sanitizers see the first that is too many. */
            free(room);
            room_size = line_size;
            if ((room = malloc(room_size)) == NULL) break;
        }
        uint8_t *leaf = leaves + number * SHA256_SIZE;
        uint8_t *statement = statements == NULL ? NULL : statements + number * SHA256_SIZE;
        if (!read_line(text, (Text){at, feed}, first + number, room, &lines[number], leaf, statement)) break;
        liken(text, lines, number, &recent);
        at = feed + 1;
    }
    free(room);
    *stop = (size_t)(at - text);
    return number;
}

/* How many line feeds there are in a text. */
EXPORTED size_t ledger_line_feeds(const uint8_t *text, size_t size) {
    size_t count = 0;
    for (const uint8_t *at = text, *end = text + size; at < end && (at = memchr(at, '\n', (size_t)(end - at))); at++)
        count++;
    return count;
}
