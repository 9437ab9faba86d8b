/* Makes every call that names a file or opens a folder below some folders take longer, as slow shared storage does.

   cc -shared -fPIC -O2 -o slow_storage.so slow_storage.c -ldl
   SLOW_BELOW=/data:/out SLOW_MS=1 LD_PRELOAD=$PWD/slow_storage.so COMMAND

   A folder costs two calls: one opens it, one lists it. Calls on files that are open already cost nothing: clients of
   network file systems answer them from memory. Threads wait at the same time, as they do for a server. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

static void wait_for(const char *path, int calls) {
    const char *below = getenv("SLOW_BELOW"), *ms = getenv("SLOW_MS");
    if (!path || !below || !ms || path[0] != '/') return;
    while (*below) {
        size_t length = strcspn(below, ":");
        if (length && !strncmp(path, below, length) && (path[length] == '/' || !path[length])) {
            long long ns = (long long)(atof(ms) * 1e6) * calls;
            struct timespec time = {ns / 1000000000, ns % 1000000000};
            nanosleep(&time, NULL);
            return;
        }
        below += length + (below[length] == ':');
    }
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define SLOW(type, name, parameters, path, calls, ...) \
    type name parameters { REAL(name); wait_for(path, calls); return real(__VA_ARGS__); }

int open(const char *, int, ...);
int open64(const char *, int, ...);
int openat(int, const char *, int, ...);
int openat64(int, const char *, int, ...);
#define SLOW_OPEN(name) \
    int name(const char *path, int flags, ...) { \
        __builtin_va_list list; __builtin_va_start(list, flags); \
        int mode = __builtin_va_arg(list, int); __builtin_va_end(list); \
        REAL(name); wait_for(path, 1); return real(path, flags, mode); }
#define SLOW_OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        __builtin_va_list list; __builtin_va_start(list, flags); \
        int mode = __builtin_va_arg(list, int); __builtin_va_end(list); \
        REAL(name); wait_for(path, 1); return real(folder, path, flags, mode); }
SLOW_OPEN(open)
SLOW_OPEN(open64)
SLOW_OPENAT(openat)
SLOW_OPENAT(openat64)
SLOW(int, stat, (const char *p, struct stat *s), p, 1, p, s)
SLOW(int, stat64, (const char *p, struct stat64 *s), p, 1, p, s)
SLOW(int, lstat, (const char *p, struct stat *s), p, 1, p, s)
SLOW(int, lstat64, (const char *p, struct stat64 *s), p, 1, p, s)
SLOW(int, fstatat, (int d, const char *p, struct stat *s, int f), p, 1, d, p, s, f)
SLOW(int, fstatat64, (int d, const char *p, struct stat64 *s, int f), p, 1, d, p, s, f)
SLOW(int, statx, (int d, const char *p, int f, unsigned m, struct statx *s), p, 1, d, p, f, m, s)
SLOW(DIR *, opendir, (const char *p), p, 2, p)
SLOW(ssize_t, readlink, (const char *p, char *b, size_t n), p, 1, p, b, n)
SLOW(int, mkdir, (const char *p, mode_t m), p, 1, p, m)
int access(const char *, int), unlink(const char *), rename(const char *, const char *);
SLOW(int, access, (const char *p, int m), p, 1, p, m)
SLOW(int, unlink, (const char *p), p, 1, p)
SLOW(int, rename, (const char *p, const char *q), p, 1, p, q)
SLOW(void *, dlopen, (const char *p, int f), p, 1, p, f)
