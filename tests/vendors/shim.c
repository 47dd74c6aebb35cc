/* A PKCS#11 module that behaves like a vendor's: it passes calls to SoftHSM, refuses what that vendor refuses and
 * returns what it returns. Which rules hold stands in the environment (tests/vendors/rules.py has them by vendor):
 *   SHIM_MODULE     the real module
 *   SHIM_RULES      names of rules, each between commas: ",ro-refused,iv-readback,"
 *   SHIM_DENY       mechanisms that are not offered: ",0x1057,"
 *   SHIM_MAP        mechanisms under a vendor's number: ",0x80000c03=0x1057,"
 *   SHIM_KEY_TYPES  key types likewise
 *   SHIM_PIN        the real PIN, for vendors that take another form
 *   SHIM_MOST       most sessions, 0 for any number
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long ul;
typedef unsigned char byte;
typedef ul (*any)();
typedef struct { ul type; void *value; ul length; } attribute;
typedef struct { ul mechanism; void *parameter; ul length; } mechanism;
typedef struct { byte *iv; ul iv_length, iv_bits; byte *aad; ul aad_length, tag_bits; } gcm;
struct list { byte version[2]; any f[68]; };
enum { FINALIZE = 1, TOKEN_INFO = 6, MECHANISMS = 7, MECHANISM_INFO = 8, INIT_TOKEN = 9, SET_PIN = 11, OPEN = 12,
       CLOSE = 13, LOGIN = 18, LOGOUT = 19, CREATE = 20, COPY = 21, DESTROY = 22, GET = 24, SET = 25, FIND_INIT = 26,
       FIND = 27, FIND_FINAL = 28, ENCRYPT_INIT = 29, ENCRYPT = 30, DECRYPT_INIT = 33, DECRYPT = 34, DIGEST_INIT = 37,
       SIGN_INIT = 42, VERIFY_INIT = 48, GENERATE = 58, PAIR = 59, WRAP = 60, UNWRAP = 61, DERIVE = 62, SEED = 63,
       RANDOM = 64 };
enum { TOKEN = 1, PRIVATE = 2, LABEL = 3, CLASS = 0, KEY_TYPE = 0x100, ID = 0x102, SENSITIVE = 0x103, ENCRYPTS = 0x104,
       DECRYPTS = 0x105, WRAPS = 0x106, UNWRAPS = 0x107, SIGNS = 0x108, VERIFIES = 0x10A, DERIVES = 0x10C,
       MODIFIABLE = 0x170, EC_PARAMS = 0x180, KMS_ALGORITHM = 0x8001E101 };
enum { GENERAL = 5, FAILED = 6, BAD = 7, TYPE_INVALID = 0x12, VALUE_INVALID = 0x13, UNSUPPORTED = 0x54, NO_MECHANISM = 0x70,
       PARAMETER = 0x71, PIN_WRONG = 0xA0, PIN_EXPIRED = 0xA3, PIN_LOCKED = 0xA4, TOO_MANY = 0xB1, INCOMPLETE = 0xD0,
       INCONSISTENT = 0xD1, NOT_LOGGED_IN = 0x101, USER_TYPE = 0x103, NOT_AUTHORISED = 0x8000001A };

static struct list *real, own;
static ul open_sessions, wrong_pins, role = ~0UL;
static struct { mechanism m; gcm p; byte iv[16]; ul key; } work[256]; /* by session handle */

static int is(const char *rule) {
    char name[64]; const char *all = getenv("SHIM_RULES");
    snprintf(name, sizeof name, ",%s,", rule);
    return all && strstr(all, name) != 0;
}
static ul number(const char *variable) { const char *v = getenv(variable); return v ? strtoul(v, 0, 0) : 0; }

/* In a list ",a=b,": the partner of n on the side asked for; n itself when it has none. found: whether it has. */
static ul partner(const char *variable, ul n, int from_left, int *found) {
    const char *at = getenv(variable);
    *found = 0;
    while (at && (at = strchr(at, ',')) && at[1]) {
        char *rest; ul left = strtoul(++at, &rest, 0), right = *rest == '=' ? strtoul(rest + 1, 0, 0) : left;
        if (n == (from_left ? left : right)) { *found = 1; return from_left ? right : left; }
    }
    return n;
}

static ul known_mechanism(mechanism *given, mechanism *inner) {
    int mapped, taken, denied;
    *inner = *given;
    inner->mechanism = partner("SHIM_MAP", given->mechanism, 1, &mapped);
    partner("SHIM_MAP", given->mechanism, 0, &taken);
    partner("SHIM_DENY", given->mechanism, 1, &denied);
    return (taken && !mapped) || denied ? NO_MECHANISM : 0;
}

static attribute *of(attribute *t, ul n, ul type) {
    for (ul i = 0; i < n; i++) if (t[i].type == type) return &t[i];
    return 0;
}
static int yes(attribute *t, ul n, ul type) { attribute *a = of(t, n, type); return a && a->length && *(byte *)a->value; }
static int no(attribute *t, ul n, ul type) { attribute *a = of(t, n, type); return a && a->length && !*(byte *)a->value; }

/* What every new object must be; guarded: a private or secret key. */
static ul template_rules(attribute *t, ul n, int guarded) {
    if (is("private-true") && !yes(t, n, PRIVATE)) return INCONSISTENT;
    if (is("sensitive-private") && guarded && !(yes(t, n, PRIVATE) && yes(t, n, SENSITIVE))) return INCONSISTENT;
    if (is("sensitive") && guarded && !yes(t, n, SENSITIVE)) return INCONSISTENT;
    if (is("modifiable-refused") && yes(t, n, MODIFIABLE)) return INCONSISTENT;
    if (is("token-only") && !yes(t, n, TOKEN)) return INCONSISTENT;
    attribute *id = of(t, n, ID);
    if (is("id-short") && id && id->length > 62) return VALUE_INVALID;
    return 0;
}
static ul usage_rules(attribute *t, ul n) {
    int families = (yes(t, n, SIGNS) || yes(t, n, VERIFIES)) + (yes(t, n, ENCRYPTS) || yes(t, n, DECRYPTS)) +
                   (yes(t, n, WRAPS) || yes(t, n, UNWRAPS)) + yes(t, n, DERIVES);
    return is("one-purpose") && families > 1 ? INCONSISTENT : 0;
}
static ul unique(ul session, attribute *t, ul n) {
    attribute *id = of(t, n, ID);
    ul handle, count = 0;
    if (!is("id-unique") || !id) return 0;
    if (real->f[FIND_INIT](session, id, 1UL) == 0) {
        real->f[FIND](session, &handle, 1UL, &count);
        real->f[FIND_FINAL](session);
    }
    return count ? VALUE_INVALID : 0;
}
static ul maker(void) {
    if (is("so-generates") && role != 0) return NOT_LOGGED_IN;
    return is("user-limited") && role == 0x80000001 ? NOT_AUTHORISED : 0;
}

static ul mechanisms(ul slot, ul *out, ul *count) {
    static ul all[1024];
    ul n = 1024, kept = 0;
    if (real->f[MECHANISMS](slot, all, &n)) return GENERAL;
    for (ul i = 0; i < n; i++) {
        int denied, mapped;
        partner("SHIM_DENY", all[i], 1, &denied);
        if (!denied) all[kept++] = partner("SHIM_MAP", all[i], 0, &mapped);
    }
    if (is("iv-prepend")) all[kept++] = 0x80001087;
    if (out && *count < kept) { *count = kept; return 0x150; }
    if (out) memcpy(out, all, kept * sizeof *out);
    *count = kept;
    return 0;
}
static ul mechanism_info(ul slot, ul type, void *info) {
    mechanism outer = { type }, inner;
    ul rv = known_mechanism(&outer, &inner);
    return rv ? rv : real->f[MECHANISM_INFO](slot, inner.mechanism, info);
}
static ul token_info(ul slot, byte *info) {
    ul rv = real->f[TOKEN_INFO](slot, info);
    ul *flags = (ul *)(info + 96); /* after label, manufacturer, model and serial number */
    if (rv == 0 && is("pin-lock")) {
        *flags &= ~0x70000UL;
        *flags |= wrong_pins > 2 ? 0x40000 : wrong_pins == 2 ? 0x20000 : wrong_pins == 1 ? 0x10000 : 0;
    }
    return rv;
}
static ul open_session(ul slot, ul flags, void *a, void *n, ul *handle) {
    ul most = number("SHIM_MOST"), rv;
    if (is("ro-refused") && !(flags & 2)) return FAILED;
    if (most && open_sessions >= most) return TOO_MANY;
    rv = real->f[OPEN](slot, flags, a, n, handle);
    if (rv == 0) open_sessions++;
    if (rv == 0 && is("no-login")) real->f[LOGIN](*handle, 1UL, getenv("SHIM_PIN"), strlen(getenv("SHIM_PIN")));
    return rv;
}
static ul close_session(ul session) { open_sessions -= open_sessions > 0; return real->f[CLOSE](session); }
static ul finalize(void *reserved) { if (is("no-finalize")) abort(); open_sessions = 0; return real->f[FINALIZE](reserved); }

/* The form of a PIN as the vendor wants it: 0, or what it says to another form. Moves pin to what SoftHSM takes. */
static ul pin_form(ul user, char **pin, ul *length) {
    char *comma = memchr(*pin, ',', *length), *colon = memchr(*pin, ':', *length);
    if (is("pin-colon-expired") && (!colon || colon == *pin)) return PIN_EXPIRED;
    if (is("pin-colon") && (!colon || colon == *pin)) return PIN_WRONG;
    if (is("pin-key-id")) {
        ul skip = **pin == '@';
        if (*length < 12 + skip) return BAD;
        for (ul i = skip; i < skip + 4; i++) if (!isxdigit((*pin)[i])) return BAD;
    }
    if (user == 0x83 && is("user-named")) {
        if (!comma || comma == *pin) return PIN_WRONG;
        *length -= comma + 1 - *pin;
        *pin = comma + 1;
    }
    return 0;
}
static ul login(ul session, ul user, char *pin, ul length) {
    ul rv, known = user == 1 || (user == 0 && is("so-generates")) || (user == 0x80000001 && is("user-limited")) ||
                   (user == 0x83 && is("user-named"));
    if (is("no-login") || (!known && (user > 1 || is("any-pin")))) return USER_TYPE;
    if (is("pin-lock") && wrong_pins > 2) return PIN_LOCKED;
    if (is("any-pin")) { pin = getenv("SHIM_PIN"); length = strlen(pin); }
    if ((rv = pin_form(user, &pin, &length)) != 0) return rv;
    rv = real->f[LOGIN](session, known ? 1UL : user, pin, length);
    if (rv == 0) { role = user; wrong_pins = 0; }
    if (rv == PIN_WRONG && is("pin-lock") && ++wrong_pins > 2) return PIN_LOCKED;
    return rv;
}
static ul logout(ul session) { role = ~0UL; return real->f[LOGOUT](session); }

static ul create(ul session, attribute *t, ul n, ul *handle) {
    attribute *class = of(t, n, CLASS);
    if (is("no-create") || (is("no-data") && class && *(ul *)class->value == 0)) return UNSUPPORTED;
    ul rv = template_rules(t, n, 0);
    return rv ? rv : real->f[CREATE](session, t, n, handle);
}
static ul get(ul session, ul object, attribute *t, ul n) {
    static const ul unknown[] = { 0x202, 0x109, 0x10B, 0x61D, 0x633, 0x634, 0x40000600 };
    for (ul i = 0; is("attribute-unknown") && i < n; i++)
        for (ul j = 0; j < sizeof unknown / sizeof *unknown; j++)
            if (t[i].type == unknown[j]) return TYPE_INVALID; /* nothing is filled in, as crypto11 reports of CloudHSM */
    ul rv = real->f[GET](session, object, t, n);
    for (ul i = 0; i < n; i++)
        if (t[i].type == KEY_TYPE && t[i].value && t[i].length == sizeof(ul)) {
            int mapped;
            *(ul *)t[i].value = partner("SHIM_KEY_TYPES", *(ul *)t[i].value, 0, &mapped);
        }
    return rv;
}

static void random_iv(byte *iv, ul length) {
    FILE *source = fopen("/dev/urandom", "rb");
    if (fread(iv, 1, length, source) != length) abort();
    fclose(source);
}
static int is_gcm(ul type) { return type == 0x1087 || type == 0x80001087; }
static ul encrypt_init(ul session, mechanism *m, ul key) {
    mechanism inner;
    ul rv = known_mechanism(m, &inner), at = session % 256;
    memset(&work[at], 0, sizeof work[at]);
    work[at].m.mechanism = m->mechanism;
    if (rv) return rv;
    if (is_gcm(inner.mechanism) && m->length == sizeof(gcm)) {
        gcm *given = m->parameter, *p = &work[at].p;
        *p = *given;
        if (is("iv-readback") || is("iv-late") || m->mechanism == 0x80001087) {
            int prepend = m->mechanism == 0x80001087;
            if (prepend ? given->iv != 0 : given->iv_length != 12) return PARAMETER;
            for (ul i = 0; !prepend && i < 12; i++) if (given->iv[i]) return PARAMETER;
            random_iv(work[at].iv, p->iv_length = 12);
            if (is("iv-readback") && !prepend) memcpy(given->iv, work[at].iv, 12);
        } else if (is("iv-append16")) {
            if (given->iv_length) return PARAMETER;
            random_iv(work[at].iv, p->iv_length = 16);
        } else return real->f[ENCRYPT_INIT](session, &inner, key);
        byte *theirs = given->iv;
        p->iv = work[at].iv; p->iv_bits = 8 * p->iv_length;
        inner.mechanism = 0x1087; inner.parameter = p;
        rv = real->f[ENCRYPT_INIT](session, &inner, key);
        p->iv = theirs; /* for a device that writes late */
        return rv;
    }
    return real->f[ENCRYPT_INIT](session, &inner, key);
}
static ul encrypt(ul session, void *data, ul length, byte *out, ul *out_length) {
    ul at = session % 256, before = 0, after = 0;
    if (work[at].p.iv_length) {
        before = work[at].m.mechanism == 0x80001087 ? 12 : 0;
        after = !before && is("iv-append16") ? 16 : 0;
    }
    if (out && *out_length < length + 16 + before + after && (before || after)) return 0x150;
    ul inner_length = *out_length - before - after;
    ul rv = real->f[ENCRYPT](session, data, length, out ? out + before : 0, &inner_length);
    if (rv == 0 && out) {
        memcpy(out, work[at].iv, before);
        memcpy(out + before + inner_length, work[at].iv, after);
        if (is("iv-late") && work[at].p.iv) memcpy(work[at].p.iv, work[at].iv, 12);
    }
    *out_length = inner_length + before + after;
    return rv;
}
static ul decrypt_init(ul session, mechanism *m, ul key) {
    mechanism inner;
    ul rv = known_mechanism(m, &inner), at = session % 256;
    memset(&work[at], 0, sizeof work[at]);
    work[at].m.mechanism = m->mechanism;
    if (rv) return rv;
    if (m->mechanism == 0x80001087) { /* the IV comes with the ciphertext */
        work[at].p = *(gcm *)m->parameter;
        work[at].key = key;
        return work[at].p.iv ? PARAMETER : 0;
    }
    return real->f[DECRYPT_INIT](session, &inner, key);
}
static ul said(ul rv, ul instead) { return rv == GENERAL ? instead : rv; } /* SoftHSM says no more than “general” */
static ul decrypt(ul session, byte *data, ul length, void *out, ul *out_length) {
    ul at = session % 256, rv;
    if (work[at].m.mechanism != 0x80001087) return said(real->f[DECRYPT](session, data, length, out, out_length), 0x40);
    if (length < 28) return 0x41;
    if (!out) { *out_length = length; return 0; } /* SoftHSM wants room for the tag too */
    gcm p = work[at].p;
    p.iv = data; p.iv_length = 12; p.iv_bits = 96;
    mechanism inner = { 0x1087, &p, sizeof p };
    rv = real->f[DECRYPT_INIT](session, &inner, work[at].key);
    return rv ? rv : said(real->f[DECRYPT](session, data + 12, length - 12, out, out_length), 0x40);
}

static ul begin(int function, ul session, mechanism *m, ul key) {
    mechanism inner;
    ul rv = known_mechanism(m, &inner);
    return rv ? rv : real->f[function](session, &inner, key);
}
static ul sign_init(ul session, mechanism *m, ul key) { return begin(SIGN_INIT, session, m, key); }
static ul verify_init(ul session, mechanism *m, ul key) {
    return is("no-verify") ? UNSUPPORTED : begin(VERIFY_INIT, session, m, key);
}
static ul digest_init(ul session, mechanism *m) { return is("no-digest") ? UNSUPPORTED : real->f[DIGEST_INIT](session, m); }

static ul generate(ul session, mechanism *m, attribute *t, ul n, ul *handle) {
    mechanism inner;
    ul rv;
    if (is("kms-template")) return UNSUPPORTED;
    if ((rv = maker()) || (rv = known_mechanism(m, &inner)) || (rv = template_rules(t, n, 1)) ||
        (rv = usage_rules(t, n)) || (rv = unique(session, t, n))) return rv;
    return real->f[GENERATE](session, &inner, t, n, handle);
}
static ul kms_pair(ul session, attribute *pu, ul npu, attribute *pr, ul npr, ul *public, ul *private) {
    static byte truth = 1, untruth = 0, p256[] = { 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7 };
    if (npu) return INCONSISTENT;
    if (!of(pr, npr, LABEL) || !of(pr, npr, KMS_ALGORITHM)) return INCOMPLETE;
    if (npr != 2) return INCONSISTENT;
    attribute shown[] = { *of(pr, npr, LABEL), { TOKEN, &truth, 1 }, { EC_PARAMS, p256, sizeof p256 }, { VERIFIES, &truth, 1 } };
    attribute hidden[] = { *of(pr, npr, LABEL), { TOKEN, &truth, 1 }, { SIGNS, &truth, 1 }, { PRIVATE, &truth, 1 },
                           { SENSITIVE, &truth, 1 }, { 0x162, &untruth, 1 } };
    mechanism ec = { 0x1040 };
    return real->f[PAIR](session, &ec, shown, 4UL, hidden, 6UL, public, private);
}
static ul pair(ul session, mechanism *m, attribute *pu, ul npu, attribute *pr, ul npr, ul *public, ul *private) {
    mechanism inner;
    ul rv;
    if (is("kms-template")) return kms_pair(session, pu, npu, pr, npr, public, private);
    if ((rv = maker()) || (rv = known_mechanism(m, &inner)) || (rv = template_rules(pu, npu, 0)) ||
        (rv = template_rules(pr, npr, 1)) || (rv = usage_rules(pr, npr)) || (rv = unique(session, pr, npr))) return rv;
    return real->f[PAIR](session, &inner, pu, npu, pr, npr, public, private);
}
static ul wrap(ul session, mechanism *m, ul with, ul key, void *out, ul *length) {
    mechanism inner;
    ul rv = is("no-wrap") ? UNSUPPORTED : known_mechanism(m, &inner);
    return rv ? rv : real->f[WRAP](session, &inner, with, key, out, length);
}
static ul unwrap(ul session, mechanism *m, ul with, void *data, ul length, attribute *t, ul n, ul *handle) {
    mechanism inner;
    ul rv = is("no-wrap") ? UNSUPPORTED : 0;
    if (rv || (rv = maker()) || (rv = known_mechanism(m, &inner)) || (rv = template_rules(t, n, 1)) || (rv = usage_rules(t, n)))
        return rv;
    return said(real->f[UNWRAP](session, &inner, with, data, length, t, n, handle), 0x110);
}
static ul derive(ul session, mechanism *m, ul base, attribute *t, ul n, ul *handle) {
    mechanism inner;
    ul rv = is("no-derive") ? UNSUPPORTED : 0;
    if (rv || (rv = known_mechanism(m, &inner)) || (rv = template_rules(t, n, 0))) return rv;
    return real->f[DERIVE](session, &inner, base, t, n, handle);
}
static ul destroy(ul session, ul handle) { ul rv = maker(); return rv ? rv : real->f[DESTROY](session, handle); }
static ul set(ul session, ul object, attribute *t, ul n) { return is("no-set") ? UNSUPPORTED : real->f[SET](session, object, t, n); }
static ul copy(ul s, ul o, attribute *t, ul n, ul *h) { return is("no-copy") ? UNSUPPORTED : real->f[COPY](s, o, t, n, h); }
static ul init_token(ul s, void *p, ul n, void *l) { return is("no-init") ? UNSUPPORTED : real->f[INIT_TOKEN](s, p, n, l); }
static ul set_pin(ul s, void *o, ul no_, void *w, ul nw) { return is("no-set-pin") ? UNSUPPORTED : real->f[SET_PIN](s, o, no_, w, nw); }
static ul seed(ul session, void *data, ul n) { return is("no-seed") ? 0x120 : real->f[SEED](session, data, n); }
static ul random_bytes(ul session, void *out, ul n) {
    if (is("random-8-1024") && (n < 8 || n > 1024)) return BAD;
    return real->f[RANDOM](session, out, n);
}

ul C_GetFunctionList(struct list **out) {
    if (!real) {
        void *library = dlopen(getenv("SHIM_MODULE"), RTLD_NOW | RTLD_LOCAL);
        any ask = library ? (any)dlsym(library, "C_GetFunctionList") : 0;
        if (!ask || ask(&real)) return GENERAL;
        own = *real;
        struct { int at; any f; } ours[] = {
            { FINALIZE, finalize }, { TOKEN_INFO, token_info }, { MECHANISMS, mechanisms }, { MECHANISM_INFO, mechanism_info },
            { INIT_TOKEN, init_token }, { SET_PIN, set_pin }, { OPEN, open_session }, { CLOSE, close_session },
            { LOGIN, login }, { LOGOUT, logout }, { CREATE, create }, { COPY, copy }, { DESTROY, destroy }, { GET, get },
            { SET, set }, { ENCRYPT_INIT, encrypt_init }, { ENCRYPT, encrypt }, { DECRYPT_INIT, decrypt_init },
            { DECRYPT, decrypt }, { DIGEST_INIT, digest_init }, { SIGN_INIT, sign_init }, { VERIFY_INIT, verify_init },
            { GENERATE, generate }, { PAIR, pair }, { WRAP, wrap }, { UNWRAP, unwrap }, { DERIVE, derive }, { SEED, seed },
            { RANDOM, random_bytes },
        };
        for (ul i = 0; i < sizeof ours / sizeof *ours; i++) own.f[ours[i].at] = ours[i].f;
    }
    *out = &own;
    return 0;
}
