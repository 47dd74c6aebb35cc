/* A PKCS#11 v3.2 module over SoftHSM: everything goes to SoftHSM but ML-DSA, ML-KEM and SLH-DSA. Their objects are kept
 * here, for as long as the process lives, and a helper process (tests/vendors/pq_helper.py) does the sums.
 *   PQ_MODULE   the real module        PQ_PYTHON, PQ_HELPER   the helper's command
 *   PQ_OLD      when set, there is no C_GetInterface of version 3.2
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ul;
typedef unsigned char byte;
typedef ul (*any)();
typedef struct { ul type; void *value; ul length; } attribute;
typedef struct { ul mechanism; void *parameter; ul length; } mechanism;
typedef struct { char *name; void *list; ul flags; } interface;
struct list { byte version[2]; any f[68]; };
struct longer { byte version[2]; any f[104]; };
enum { MECHANISMS = 7, MECHANISM_INFO = 8, DESTROY = 22, CREATE = 20, GET = 24, FIND_INIT = 26, FIND = 27, SIGN_INIT = 42,
       SIGN = 43, VERIFY_INIT = 48, VERIFY = 49, PAIR = 59, DECAPSULATE = 93 };
enum { CLASS = 0, TOKEN = 1, PRIVATE = 2, VALUE = 0x11, KEY_TYPE = 0x100, ID = 0x102, LOCAL = 0x163, NEVER_EXTRACTABLE = 0x164,
       ALWAYS_SENSITIVE = 0x165, PARAMETER_SET = 0x61D };
enum { GENERAL = 5, TYPE_INVALID = 0x12, NO_MECHANISM = 0x70, HANDLE = 0x82, SIGNATURE = 0xC0, INCOMPLETE = 0xD0,
       INCONSISTENT = 0xD1, SMALL = 0x150 };
#define FIRST 0x70000000UL
#define LINE (1 << 19)

static struct list *real, own;
static struct longer own32;
static struct object { int live; char algorithm[32]; char *secret; ul count; attribute held[48]; } objects[64];
static ul signing[256], verifying[256], pending[64], pending_count;
static char *signature_hex;
static FILE *to, *from;
static char line[LINE];
static const ul offered[] = { 0x0F, 0x17, 0x1C, 0x1D, 0x2D, 0x2E };
static const char *const ml_dsa[] = { "ml-dsa-44", "ml-dsa-65", "ml-dsa-87" };
static const char *const ml_kem[] = { "ml-kem-512", "ml-kem-768", "ml-kem-1024" };
static const char *const slh[] = { "sha2-128s", "shake-128s", "sha2-128f", "shake-128f", "sha2-192s", "shake-192s",
                                   "sha2-192f", "shake-192f", "sha2-256s", "shake-256s", "sha2-256f", "shake-256f" };

static void start(void) {
    int down[2], up[2];
    if (to) return;
    if (pipe(down) || pipe(up)) abort();
    if (fork() == 0) {
        dup2(down[0], 0); dup2(up[1], 1);
        for (int i = 3; i < 64; i++) close(i);
        execl(getenv("PQ_PYTHON"), getenv("PQ_PYTHON"), "-I", getenv("PQ_HELPER"), (char *)0);
        _exit(1);
    }
    close(down[0]); close(up[1]);
    to = fdopen(down[1], "w"); from = fdopen(up[0], "r");
}
/* What the helper answers; 0 when it cannot. */
static char *ask(void) {
    fputc('\n', to); fflush(to);
    if (!fgets(line, LINE, from) || line[0] == '!') return 0;
    line[strcspn(line, "\n")] = 0;
    return line;
}
static void hex(const byte *data, ul length) { for (ul i = 0; i < length; i++) fprintf(to, "%02x", data[i]); }
static ul unhex(const char *text, byte *out) {
    ul n = 0;
    for (; text[2 * n] && text[2 * n] != ' '; n++) { unsigned v; sscanf(text + 2 * n, "%2x", &v); if (out) out[n] = v; }
    return n;
}

static attribute *of(attribute *t, ul n, ul type) {
    for (ul i = 0; i < n; i++) if (t[i].type == type) return &t[i];
    return 0;
}
static struct object *virtual(ul handle) {
    return handle >= FIRST && handle < FIRST + 64 && objects[handle - FIRST].live ? &objects[handle - FIRST] : 0;
}
static void hold(struct object *o, ul type, const void *value, ul length) {
    attribute *a = of(o->held, o->count, type);
    if (!a) a = &o->held[o->count++];
    a->type = type; a->value = malloc(length + 1); a->length = length;
    memcpy(a->value, value, length);
}
static ul make(const char *algorithm, attribute *t, ul n, ul class, ul kind, ul set) {
    static const byte truth = 1;
    for (ul i = 0; i < 64; i++) if (!objects[i].live) {
        struct object *o = &objects[i];
        memset(o, 0, sizeof *o);
        o->live = 1;
        strcpy(o->algorithm, algorithm);
        for (ul j = 0; j < n; j++) hold(o, t[j].type, t[j].value, t[j].length);
        hold(o, CLASS, &class, sizeof class);
        hold(o, KEY_TYPE, &kind, sizeof kind);
        hold(o, PARAMETER_SET, &set, sizeof set);
        hold(o, LOCAL, &truth, 1);
        if (class == 3) { hold(o, NEVER_EXTRACTABLE, &truth, 1); hold(o, ALWAYS_SENSITIVE, &truth, 1); }
        return FIRST + i;
    }
    return 0;
}

static ul mechanisms(ul slot, ul *out, ul *count) {
    ul room = *count, rv = real->f[MECHANISMS](slot, out, count), more = sizeof offered / sizeof *offered;
    if (rv == 0 && out) {
        if (room < *count + more) return SMALL;
        memcpy(out + *count, offered, sizeof offered);
    }
    *count += more;
    return rv;
}
static ul pair(ul session, mechanism *m, attribute *pu, ul npu, attribute *pr, ul npr, ul *public, ul *private) {
    char name[32];
    attribute *given = of(pu, npu, PARAMETER_SET);
    int kem = m->mechanism == 0x0F, dsa = m->mechanism == 0x1C;
    if (!kem && !dsa && m->mechanism != 0x2D) return real->f[PAIR](session, m, pu, npu, pr, npr, public, private);
    if (!given) return INCOMPLETE;
    if (of(pr, npr, PARAMETER_SET)) return INCONSISTENT; /* it belongs to the public template only */
    ul set = *(ul *)given->value, kind = kem ? 0x49 : dsa ? 0x4A : 0x4B;
    if (set < 1 || set > (kem || dsa ? 3 : 12)) return INCONSISTENT;
    snprintf(name, sizeof name, "%s%s", kem || dsa ? "" : "slh-dsa-", (kem ? ml_kem : dsa ? ml_dsa : slh)[set - 1]);
    start();
    fprintf(to, "keygen %s", name);
    char *answer = ask();
    if (!answer) return NO_MECHANISM;
    byte value[4096];
    ul length = unhex(answer, value);
    *public = make(name, pu, npu, 2, kind, set);
    *private = make(name, pr, npr, 3, kind, set);
    hold(virtual(*public), VALUE, value, length);
    virtual(*private)->secret = strdup(strchr(answer, ' ') + 1);
    return 0;
}
static ul get(ul session, ul handle, attribute *t, ul n) {
    struct object *o = virtual(handle);
    ul rv = 0;
    if (!o) return real->f[GET](session, handle, t, n);
    for (ul i = 0; i < n; i++) {
        attribute *a = of(o->held, o->count, t[i].type);
        if (!a) { t[i].length = ~0UL; rv = TYPE_INVALID; continue; }
        if (t[i].value && t[i].length < a->length) { t[i].length = ~0UL; rv = SMALL; continue; }
        if (t[i].value) memcpy(t[i].value, a->value, a->length);
        t[i].length = a->length;
    }
    return rv;
}
static ul find_init(ul session, attribute *t, ul n) {
    pending_count = 0;
    for (ul i = 0; i < 64; i++) {
        int fits = objects[i].live;
        for (ul j = 0; fits && j < n; j++) {
            attribute *a = of(objects[i].held, objects[i].count, t[j].type);
            fits = a && a->length == t[j].length && memcmp(a->value, t[j].value, a->length) == 0;
        }
        if (fits) pending[pending_count++] = FIRST + i;
    }
    return real->f[FIND_INIT](session, t, n);
}
static ul find(ul session, ul *handles, ul most, ul *count) {
    ul rv = real->f[FIND](session, handles, most, count);
    while (rv == 0 && *count < most && pending_count) handles[(*count)++] = pending[--pending_count];
    return rv;
}
static ul destroy(ul session, ul handle) {
    struct object *o = virtual(handle);
    if (!o) return real->f[DESTROY](session, handle);
    o->live = 0;
    return 0;
}
static ul begin(int function, ul *table, ul session, mechanism *m, ul key) {
    table[session % 256] = 0;
    if (!virtual(key)) return real->f[function](session, m, key);
    if (m->mechanism != 0x1D && m->mechanism != 0x2E) return NO_MECHANISM;
    table[session % 256] = key;
    free(signature_hex);
    signature_hex = 0;
    return 0;
}
static ul sign_init(ul s, mechanism *m, ul key) { return begin(SIGN_INIT, signing, s, m, key); }
static ul verify_init(ul s, mechanism *m, ul key) { return begin(VERIFY_INIT, verifying, s, m, key); }
static ul sign(ul session, byte *data, ul length, byte *out, ul *out_length) {
    struct object *o = virtual(signing[session % 256]);
    if (!o) return real->f[SIGN](session, data, length, out, out_length);
    if (!signature_hex) {
        start();
        fprintf(to, "sign %s %s ", o->algorithm, o->secret);
        hex(data, length);
        char *answer = ask();
        if (!answer) return GENERAL;
        signature_hex = strdup(answer);
    }
    ul needed = strlen(signature_hex) / 2;
    if (out && *out_length < needed) { *out_length = needed; return SMALL; }
    *out_length = needed;
    if (out) { unhex(signature_hex, out); signing[session % 256] = 0; }
    return 0;
}
static ul verify(ul session, byte *data, ul length, byte *signature, ul signature_length) {
    struct object *o = virtual(verifying[session % 256]);
    if (!o) return real->f[VERIFY](session, data, length, signature, signature_length);
    attribute *value = of(o->held, o->count, VALUE);
    verifying[session % 256] = 0;
    start();
    fprintf(to, "verify %s ", o->algorithm);
    hex(value->value, value->length); fputc(' ', to);
    hex(data, length); fputc(' ', to);
    hex(signature, signature_length);
    char *answer = ask();
    return answer && strcmp(answer, "ok") == 0 ? 0 : SIGNATURE;
}
static ul decapsulate(ul session, mechanism *m, ul key, attribute *t, ul n, byte *data, ul length, ul *handle) {
    struct object *o = virtual(key);
    ul secret_class = 4;
    byte value[64];
    if (m->mechanism != 0x17 || !o) return NO_MECHANISM;
    start();
    fprintf(to, "open %s %s ", o->algorithm, o->secret);
    hex(data, length);
    char *answer = ask();
    if (!answer) return 0x40;
    attribute more[64];
    ul count = 0;
    for (ul i = 0; i < n; i++) if (t[i].type != 0x161) more[count++] = t[i]; /* no length beside a value */
    if (!of(more, count, CLASS)) more[count++] = (attribute){ CLASS, &secret_class, sizeof secret_class };
    more[count++] = (attribute){ VALUE, value, unhex(answer, value) };
    return real->f[CREATE](session, more, count, handle);
}

ul C_GetFunctionList(struct list **out) {
    if (!real) {
        void *library = dlopen(getenv("PQ_MODULE"), RTLD_NOW | RTLD_LOCAL);
        any get_list = library ? (any)dlsym(library, "C_GetFunctionList") : 0;
        if (!get_list || get_list(&real)) return GENERAL;
        own = *real;
        struct { int at; any f; } ours[] = {
            { MECHANISMS, mechanisms }, { PAIR, pair }, { GET, get }, { FIND_INIT, find_init }, { FIND, find },
            { DESTROY, destroy }, { SIGN_INIT, sign_init }, { SIGN, sign }, { VERIFY_INIT, verify_init }, { VERIFY, verify },
        };
        for (ul i = 0; i < sizeof ours / sizeof *ours; i++) own.f[ours[i].at] = ours[i].f;
        memcpy(own32.f, own.f, sizeof own.f);
        own32.version[0] = 3; own32.version[1] = 2;
        own32.f[DECAPSULATE] = (any)decapsulate;
    }
    *out = &own;
    return 0;
}
ul C_GetInterface(char *name, byte *version, interface **out, ul flags) {
    static interface found = { "PKCS 11", &own32, 0 };
    struct list *unused;
    if (getenv("PQ_OLD") || C_GetFunctionList(&unused) || !version || version[0] != 3 || version[1] != 2) return 7;
    *out = &found;
    return 0;
}
