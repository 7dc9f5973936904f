/* A shim for LD_PRELOAD: the n-th file call under a folder fails, or kills the process.

   torture_arm(root, calls, at, what) counts the calls of the kinds in `calls` on files below `root`. The one with the
   number `at` fails with the error number `what`; with `what` = -1 the process is killed there, in the middle of the
   write if it is one. With ENOSPC, all that write after it fail too, as on a disk that stays full. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, RENAME = 4, CREATE = 8, REMOVE = 16 };

static char root[PATH_MAX];
static size_t root_length;
static int calls, what;
static long at, count;

void torture_arm(const char *folder, int kinds, long number, int action)
{
    snprintf(root, sizeof root, "%s", folder);
    root_length = strlen(root);
    at = number;
    what = action;
    __atomic_store_n(&count, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&calls, kinds, __ATOMIC_SEQ_CST);
}

long torture_count(void) { return __atomic_load_n(&count, __ATOMIC_SEQ_CST); }

static int below(const char *path)
{
    return !strncmp(path, root, root_length) && path[root_length] == '/';
}

/* Whether this call is the one: 0, an error number, or -1. */
static int verdict(int kind, const char *path)
{
    if (!(calls & kind) || !path || !below(path))
        return 0;
    long number = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    if (at <= 0)
        return 0;
    return number == at || (what == ENOSPC && number > at) ? what : 0;
}

static const char *absolute(int folder, const char *path, char *buffer)
{
    char link[64];
    ssize_t length;
    if (!calls || !path || path[0] == '/')
        return path;
    if (folder == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    length = readlink(link, buffer, PATH_MAX - 1);
    if (length < 0)
        return path;
    snprintf(buffer + length, PATH_MAX - length, "/%s", path);
    return buffer;
}

static int of_descriptor(int kind, int descriptor)
{
    char link[64], path[PATH_MAX];
    ssize_t length;
    if (!(calls & kind))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return verdict(kind, path);
}

static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define STOP_IF(found) \
    do { int stop = (found); if (stop == -1) die(); if (stop) { errno = stop; return -1; } } while (0)

ssize_t write(int descriptor, const void *bytes, size_t length)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    int found = of_descriptor(WRITE, descriptor);
    if (found == -1)
        real(descriptor, bytes, length / 2);
    STOP_IF(found);
    return real(descriptor, bytes, length);
}

ssize_t writev(int descriptor, const struct iovec *parts, int number)
{
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    STOP_IF(of_descriptor(WRITE, descriptor));
    return real(descriptor, parts, number);
}

int fsync(int descriptor)
{
    REAL(int, "fsync", int);
    STOP_IF(of_descriptor(SYNC, descriptor));
    return real(descriptor);
}

int rename(const char *from, const char *to)
{
    char buffer[PATH_MAX];
    REAL(int, "rename", const char *, const char *);
    STOP_IF(verdict(RENAME, absolute(AT_FDCWD, to, buffer)));
    return real(from, to);
}

int renameat(int here, const char *from, int there, const char *to)
{
    char buffer[PATH_MAX];
    REAL(int, "renameat", int, const char *, int, const char *);
    STOP_IF(verdict(RENAME, absolute(there, to, buffer)));
    return real(here, from, there, to);
}

int renameat2(int here, const char *from, int there, const char *to, unsigned flags)
{
    char buffer[PATH_MAX];
    REAL(int, "renameat2", int, const char *, int, const char *, unsigned);
    STOP_IF(verdict(RENAME, absolute(there, to, buffer)));
    return real(here, from, there, to, flags);
}

int unlink(const char *path)
{
    char buffer[PATH_MAX];
    REAL(int, "unlink", const char *);
    STOP_IF(verdict(REMOVE, absolute(AT_FDCWD, path, buffer)));
    return real(path);
}

int unlinkat(int folder, const char *path, int flags)
{
    char buffer[PATH_MAX];
    REAL(int, "unlinkat", int, const char *, int);
    STOP_IF(verdict(REMOVE, absolute(folder, path, buffer)));
    return real(folder, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
    char buffer[PATH_MAX];
    REAL(int, "mkdir", const char *, mode_t);
    STOP_IF(verdict(CREATE, absolute(AT_FDCWD, path, buffer)));
    return real(path, mode);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        char buffer[PATH_MAX]; \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        REAL(int, #name, const char *, int, ...); \
        if (flags & O_CREAT) STOP_IF(verdict(CREATE, absolute(AT_FDCWD, path, buffer))); \
        return real(path, flags, mode); \
    }

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) \
    { \
        char buffer[PATH_MAX]; \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        REAL(int, #name, int, const char *, int, ...); \
        if (flags & O_CREAT) STOP_IF(verdict(CREATE, absolute(folder, path, buffer))); \
        return real(folder, path, flags, mode); \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
