/* A PKCS#11 module that answers nonsense: calls go to SoftHSM, and what comes back is spoilt.
 *   FUZZ_MODULE  the real module
 *   FUZZ         one kind of nonsense (see `is(…)` below), or
 *   FUZZ_FILE    a file that holds it, read at every call: empty or missing, nothing is spoilt
 *   FUZZ_SEED    a number: spoil one answer in FUZZ_EVERY at random, in a way that the number decides
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long ul;
typedef unsigned char byte;
typedef ul (*any)();
typedef struct { ul type; void *value; ul length; } attribute;
struct list { byte version[2]; any f[68]; };
enum { SLOTS = 4, SLOT_INFO = 5, TOKEN_INFO = 6, MECHANISMS = 7, MECHANISM_INFO = 8, OPEN = 12, SESSION_INFO = 15, LOGIN = 18,
       DESTROY = 22, GET = 24, FIND_INIT = 26, FIND = 27, ENCRYPT = 30, DECRYPT = 34, SIGN = 43, VERIFY = 49, GENERATE = 58,
       PAIR = 59, RANDOM = 64 };

static struct list *real, own;
static uint64_t state;
static int is(const char *kind) {
    const char *v = getenv("FUZZ"), *path = getenv("FUZZ_FILE");
    char held[64] = "";
    FILE *file = path ? fopen(path, "r") : 0;
    if (file) {
        if (!fgets(held, sizeof held, file)) held[0] = 0;
        fclose(file);
        held[strcspn(held, "\n")] = 0;
        v = held;
    }
    return v && strcmp(v, kind) == 0;
}
static uint64_t dice(void) { state ^= state << 13; state ^= state >> 7; state ^= state << 17; return state; }
/* Whether this answer is spoilt by chance, and how (1 to ways). */
static int chance(int ways) {
    const char *seed = getenv("FUZZ_SEED"), *every = getenv("FUZZ_EVERY");
    if (!seed) return 0;
    if (!state) state = strtoull(seed, 0, 0) * 0x9E3779B97F4A7C15ULL + 1;
    return dice() % (every ? strtoul(every, 0, 0) : 8) == 0 ? 1 + (int)(dice() % ways) : 0;
}
static ul code(void) {
    static const ul codes[] = { ~0UL, 0x80000000, 0xDEADBEEF, 1, 0x30, 0x32, 0xB3, 0x190, 0x150, 5, 0xE0, 0x7FFFFFFF, 0x1B1 };
    return codes[dice() % (sizeof codes / sizeof *codes)];
}
static void noise(void *out, ul length) { for (ul i = 0; i < length; i++) ((byte *)out)[i] = (byte)dice(); }

/* A length that is told back: 1 zero, 2 a few, 3 more than there is room, 4 absurd, 5 the mark of “not available” */
static ul spoilt(int way, ul length) {
    return way == 1 ? 0 : way == 2 ? 3 : way == 3 ? length + 1000 : way == 4 ? 1UL << 50 : ~0UL;
}
static int chosen(const char *base) {
    char name[64];
    static const char *const ways[] = { "zero", "short", "long", "huge", "unavailable" };
    for (int i = 0; i < 5; i++) {
        strcpy(name, base); strcat(name, "-"); strcat(name, ways[i]);
        if (is(name)) return i + 1;
    }
    return 0;
}

static ul output(int function, const char *base, ul session, void *data, ul length, void *out, ul *out_length) {
    ul rv = real->f[function](session, data, length, out, out_length);
    int way = chosen(base);
    if (!way) way = chance(6);
    if (way == 6) return code();
    if (rv == 0 && way) *out_length = spoilt(way, *out_length);
    return rv;
}
static ul sign(ul s, void *d, ul n, void *o, ul *l) { return output(SIGN, "sign", s, d, n, o, l); }
static ul encrypt(ul s, void *d, ul n, void *o, ul *l) { return output(ENCRYPT, "encrypt", s, d, n, o, l); }
static ul decrypt(ul s, void *d, ul n, void *o, ul *l) { return output(DECRYPT, "decrypt", s, d, n, o, l); }

static ul get(ul session, ul object, attribute *t, ul n) {
    ul rv = real->f[GET](session, object, t, n);
    int way = chosen("attribute");
    if (is("attribute-garbage")) way = 6;
    if (is("attribute-null")) way = 7;
    if (!way) way = chance(8);
    if (!way || !n) return rv;
    if (way == 8) return code();
    for (ul i = 0; i < n; i++) {
        if (way == 6 && t[i].value && t[i].length < 1UL << 20) noise(t[i].value, t[i].length);
        if (way == 7) t[i].value = 0;
        if (way < 6) t[i].length = spoilt(way, t[i].length);
    }
    return rv;
}
static ul find(ul session, ul *handles, ul most, ul *count) {
    ul rv = real->f[FIND](session, handles, most, count);
    int way = is("find-many") ? 1 : is("find-endless") ? 2 : is("find-garbage") ? 3 : chance(4);
    if (way == 1) *count = most + 1000000;
    static ul one;
    if (*count) one = handles[0];
    if (way == 2 && getenv("FUZZ") && one) { for (ul i = 0; i < most; i++) handles[i] = one; *count = most; }
    if (way == 3) noise(handles, *count * sizeof *handles);
    return way == 4 ? code() : rv;
}
static ul mechanisms(ul slot, ul *out, ul *count) {
    ul rv = real->f[MECHANISMS](slot, out, count);
    int way = is("mechanisms-huge") ? 1 : is("mechanisms-garbage") ? 2 : is("mechanisms-none") ? 3 : chance(4);
    if (way == 1) *count = 1UL << 50;
    if (way == 2 && out) noise(out, *count * sizeof *out);
    if (way == 3) *count = 0;
    return way == 4 ? code() : rv;
}
static ul slots(byte present, ul *out, ul *count) {
    ul rv = real->f[SLOTS](present, out, count);
    int way = is("slots-huge") ? 1 : is("slots-garbage") ? 2 : is("slots-none") ? 3 : chance(4);
    if (way == 1) *count = 1UL << 50;
    if (way == 2 && out) noise(out, *count * sizeof *out);
    if (way == 3) *count = 0;
    return way == 4 ? code() : rv;
}
static ul token_info(ul slot, byte *info) {
    ul rv = real->f[TOKEN_INFO](slot, info);
    int way = is("token-garbage") ? 1 : is("token-text") ? 2 : chance(3);
    if (way == 1) noise(info, 160);
    if (way == 2) memset(info, 0xff, 96);
    return way == 3 ? code() : rv;
}
static ul slot_info(ul slot, byte *info) {
    ul rv = real->f[SLOT_INFO](slot, info);
    if (is("slot-text") || chance(2) == 1) memset(info, 0xff, 96);
    return rv;
}
static ul random_bytes(ul session, void *out, ul n) {
    if (is("random-nothing") || chance(2) == 1) return 0;
    return real->f[RANDOM](session, out, n);
}
static ul pair(ul s, void *m, void *pu, ul npu, void *pr, ul npr, ul *public, ul *private) {
    ul rv = real->f[PAIR](s, m, pu, npu, pr, npr, public, private);
    int way = is("pair-zero") ? 1 : is("pair-garbage") ? 2 : is("pair-swapped") ? 3 : chance(4);
    if (way == 1) *public = *private = 0;
    if (way == 2) { *public = dice(); *private = dice(); }
    if (way == 3) { ul held = *public; *public = *private; *private = held; }
    return way == 4 ? code() : rv;
}
static ul generate(ul s, void *m, void *t, ul n, ul *handle) {
    ul rv = real->f[GENERATE](s, m, t, n, handle);
    int way = is("key-zero") ? 1 : chance(3);
    if (way == 1) *handle = 0;
    if (way == 2) *handle = dice();
    return way == 3 ? code() : rv;
}
static ul login(ul s, ul user, void *pin, ul n) { return is("login-garbage") || chance(2) == 1 ? code() : real->f[LOGIN](s, user, pin, n); }
static ul open_session(ul slot, ul flags, void *a, void *b, ul *handle) {
    ul rv = real->f[OPEN](slot, flags, a, b, handle);
    if (is("session-garbage") || chance(3) == 1) *handle = dice();
    return rv;
}
static ul verify(ul s, void *d, ul n, void *g, ul l) { return is("verify-garbage") || chance(2) == 1 ? code() : real->f[VERIFY](s, d, n, g, l); }

ul C_GetFunctionList(struct list **out) {
    if (!state) state = 0x2545F4914F6CDD1DULL;
    if (getenv("FUZZ_SEED")) state = 0;
    if (is("list-null")) { *out = 0; return 0; }
    if (is("list-refused")) return ~0UL;
    if (!real) {
        void *library = dlopen(getenv("FUZZ_MODULE"), RTLD_NOW | RTLD_LOCAL);
        any ask = library ? (any)dlsym(library, "C_GetFunctionList") : 0;
        if (!ask || ask(&real)) return 5;
        own = *real;
        struct { int at; any f; } ours[] = {
            { SLOTS, slots }, { SLOT_INFO, slot_info }, { TOKEN_INFO, token_info }, { MECHANISMS, mechanisms },
            { OPEN, open_session }, { LOGIN, login }, { GET, get }, { FIND, find }, { ENCRYPT, encrypt }, { DECRYPT, decrypt },
            { SIGN, sign }, { VERIFY, verify }, { GENERATE, generate }, { PAIR, pair }, { RANDOM, random_bytes },
        };
        for (ul i = 0; i < sizeof ours / sizeof *ours; i++) own.f[ours[i].at] = ours[i].f;
        if (is("list-empty")) memset(own.f, 0, sizeof own.f);
        if (is("list-holes")) own.f[SIGN] = own.f[FIND] = 0;
    }
    *out = &own;
    return 0;
}
