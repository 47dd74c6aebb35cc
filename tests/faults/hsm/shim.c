/* A PKCS#11 module that passes every call to SoftHSM and misbehaves on request: the variable SHIM names one fault,
 * or the file that SHIM_FILE names holds it, read anew at each call.
 *   noise   prints to standard output and standard error in C_Initialize and C_Sign
 *   crash   C_Sign calls abort()
 *   hang    C_Sign never returns
 *   fork    C_Initialize leaves a child process behind that sleeps
 *   iv      C_EncryptInit of AES-GCM refuses an IV that is not zero, and writes its own over it
 *   ro      C_OpenSession refuses read-only sessions
 *   full    C_GenerateKeyPair returns CKR_DEVICE_MEMORY
 *   vendor  C_Sign returns a vendor's value, 0x80000123
 *   gone    C_Sign returns CKR_DEVICE_REMOVED
 *   half    C_GenerateKeyPair makes the pair, destroys the private half and returns CKR_DEVICE_ERROR
 *   slow    every C_Sign, C_GetTokenInfo and C_GenerateRandom takes a second longer
 *   closed  C_Sign closes all sessions of the token first
 *   clock   C_GetTokenInfo tells a clock that is far off, and then one that is no time at all
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ul;
typedef ul (*any)();
typedef struct { ul mechanism; void *parameter; ul length; } mechanism;
typedef struct { unsigned char *iv; ul iv_length, iv_bits; unsigned char *aad; ul aad_length, tag_bits; } gcm;
struct list { unsigned char version[2]; any f[68]; };
enum { INITIALIZE = 0, TOKEN_INFO = 6, OPEN = 12, CLOSE_ALL = 14, RANDOM = 64, DESTROY = 22, ENCRYPT_INIT = 29, SIGN = 43, GENERATE_PAIR = 59 };

static struct list *real, own;
static ul slot_of_last;
static int is(const char *fault) {
    const char *v = getenv("SHIM"), *path = getenv("SHIM_FILE");
    char told[16] = "";
    FILE *file = path ? fopen(path, "r") : 0;
    if (file) { if (fscanf(file, "%15s", told) != 1) told[0] = 0; fclose(file); v = told; }
    return v && strcmp(v, fault) == 0;
}
static ul token_info(ul slot, unsigned char *info) {
    static int again;
    if (is("slow")) sleep(1);
    ul rv = real->f[TOKEN_INFO](slot, info);
    if (is("clock") && rv == 0) {
        info[96] |= 0x40; /* CKF_CLOCK_ON_TOKEN */
        memcpy(info + 188, again++ % 2 ? "\xff no clock here" : "1999123123595900", 16);
    }
    return rv;
}
static ul give_random(ul session, void *data, ul length) {
    if (is("slow")) sleep(1);
    return real->f[RANDOM](session, data, length);
}
static void shout(void) {
    printf("vendor noise on standard output\n"); fflush(stdout);
    fprintf(stderr, "vendor noise on standard error\n");
}

static ul initialize(void *arguments) {
    if (is("noise")) shout();
    if (is("fork") && fork() == 0) { sleep(600); _exit(0); }
    return real->f[INITIALIZE](arguments);
}
static ul open_session(ul slot, ul flags, void *a, void *n, void *handle) {
    slot_of_last = slot;
    if (is("ro") && !(flags & 2)) return 0x6; /* CKR_FUNCTION_FAILED, as CloudHSM answers */
    return real->f[OPEN](slot, flags, a, n, handle);
}
static ul encrypt_init(ul session, mechanism *m, ul key) {
    if (is("iv") && m->mechanism == 0x1087) {
        gcm *p = m->parameter;
        for (ul i = 0; i < p->iv_length; i++) if (p->iv[i]) return 0x71; /* CKR_MECHANISM_PARAM_INVALID */
        FILE *random = fopen("/dev/urandom", "rb");
        if (fread(p->iv, 1, p->iv_length, random) != p->iv_length) abort();
        fclose(random);
    }
    return real->f[ENCRYPT_INIT](session, m, key);
}
static ul sign(ul session, void *data, ul length, void *signature, ul *signature_length) {
    if (is("noise")) shout();
    if (is("crash")) abort();
    if (is("hang")) for (;;) pause();
    if (is("vendor")) return 0x80000123;
    if (is("gone")) return 0x32;
    if (is("slow") && signature) sleep(1);
    if (is("closed")) real->f[CLOSE_ALL](slot_of_last);
    return real->f[SIGN](session, data, length, signature, signature_length);
}
static ul generate_pair(ul session, mechanism *m, void *pu, ul npu, void *pr, ul npr, ul *public, ul *private) {
    if (is("full")) return 0x31;
    ul rv = real->f[GENERATE_PAIR](session, m, pu, npu, pr, npr, public, private);
    if (is("half") && rv == 0) { real->f[DESTROY](session, *private); return 0x30; }
    return rv;
}

ul C_GetFunctionList(struct list **out) {
    if (!real) {
        void *library = dlopen(getenv("SHIM_MODULE"), RTLD_NOW | RTLD_LOCAL);
        any get = library ? (any)dlsym(library, "C_GetFunctionList") : 0;
        if (!get || get(&real)) return 0x5;
        own = *real;
        own.f[INITIALIZE] = (any)initialize;
        own.f[TOKEN_INFO] = (any)token_info;
        own.f[RANDOM] = (any)give_random;
        own.f[OPEN] = (any)open_session;
        own.f[ENCRYPT_INIT] = (any)encrypt_init;
        own.f[SIGN] = (any)sign;
        own.f[GENERATE_PAIR] = (any)generate_pair;
    }
    *out = &own;
    return 0;
}
