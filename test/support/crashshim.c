/*
 * A library in front of libc: counts calls that change files below CRASH_ROOT or at relative paths, or write to a socket. At call number
 * CRASH_POINT it kills the process (CRASH_ACTION=kill; a write writes half of its bytes first), or fails the call
 * with an error number (CRASH_ACTION=5). At the end of the process it writes the count to CRASH_COUNT. Each call is
 * also appended to CRASH_LOG, if that is set.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_int count;
static const char *root, *action, *log_path;
static int point;

__attribute__((constructor)) static void start(void) {
  root = getenv("CRASH_ROOT");
  action = getenv("CRASH_ACTION");
  log_path = getenv("CRASH_LOG");
  point = atoi(getenv("CRASH_POINT") ? getenv("CRASH_POINT") : "0");
}

__attribute__((destructor)) static void end(void) {
  const char *path = getenv("CRASH_COUNT");
  FILE *file = path ? fopen(path, "w") : NULL;
  if (!file) return;
  fprintf(file, "%d", atomic_load(&count));
  fclose(file);
}

static void note(const char *call, const char *path) {
  if (!log_path) return;
  int saved = errno;
  ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
  char line[PATH_MAX + 100];
  int length = snprintf(line, sizeof line, "%s %s\n", call, path);
  int log = open(log_path, O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (log >= 0) {
    if (real(log, line, length) < 0) abort();
    close(log);
  }
  errno = saved;
}

/* Whether the call with this path is the one to fail. */
static int is_point(const char *call, const char *path) {
  if (!root || !path || (path[0] == '/' && strncmp(path, root, strlen(root)) != 0)) return 0;
  note(call, path);
  return atomic_fetch_add(&count, 1) + 1 == point;
}

static int is_point_of_file(const char *call, int fd) {
  char link[64], path[PATH_MAX];
  struct stat info;
  if (!root || fstat(fd, &info) < 0) return 0;
  if (S_ISSOCK(info.st_mode)) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    /* pairs of sockets inside the process are not counted */
    if (getpeername(fd, (struct sockaddr *)&address, &size) < 0 || address.ss_family == AF_UNIX) return 0;
    return is_point(call, root);
  }
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  /* pipes and event counters have no path */
  if (length < 0 || path[0] != '/') return 0;
  path[length] = 0;
  return is_point(call, path);
}

static int strike(void) {
  if (action && strcmp(action, "kill") == 0) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
  errno = atoi(action ? action : "5");
  return -1;
}

static int kills(void) { return action && strcmp(action, "kill") == 0; }

#define REAL(result, name, ...) result (*real)(__VA_ARGS__) = dlsym(RTLD_NEXT, name)

#define OF_PATH(name, parameters, arguments, path)       \
  int name parameters {                                  \
    int (*real) parameters = dlsym(RTLD_NEXT, #name);    \
    return is_point(#name, path) ? strike() : real arguments; \
  }

OF_PATH(rename, (const char *from, const char *to), (from, to), to)
OF_PATH(unlink, (const char *path), (path), path)
OF_PATH(rmdir, (const char *path), (path), path)
OF_PATH(remove, (const char *path), (path), path)
OF_PATH(mkdir, (const char *path, mode_t mode), (path, mode), path)
OF_PATH(link, (const char *from, const char *to), (from, to), to)
OF_PATH(symlink, (const char *from, const char *to), (from, to), to)

#define OF_FILE(name, parameters, arguments)                     \
  int name parameters {                                          \
    int (*real) parameters = dlsym(RTLD_NEXT, #name);            \
    return is_point_of_file(#name, fd) ? strike() : real arguments; \
  }

OF_FILE(fsync, (int fd), (fd))
OF_FILE(fdatasync, (int fd), (fd))
OF_FILE(ftruncate, (int fd, off_t size), (fd, size))
OF_FILE(ftruncate64, (int fd, off_t size), (fd, size))

ssize_t write(int fd, const void *bytes, size_t size) {
  REAL(ssize_t, "write", int, const void *, size_t);
  if (!is_point_of_file("write", fd)) return real(fd, bytes, size);
  if (kills() && size > 1) real(fd, bytes, size / 2);
  return strike();
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t offset) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
  if (!is_point_of_file("pwrite", fd)) return real(fd, bytes, size, offset);
  if (kills() && size > 1) real(fd, bytes, size / 2, offset);
  return strike();
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) { return pwrite64(fd, bytes, size, offset); }

ssize_t writev(int fd, const struct iovec *parts, int many) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  if (!is_point_of_file("writev", fd)) return real(fd, parts, many);
  if (kills()) real(fd, parts, 1);
  return strike();
}

ssize_t pwritev(int fd, const struct iovec *parts, int many, off_t offset) {
  REAL(ssize_t, "pwritev", int, const struct iovec *, int, off_t);
  if (!is_point_of_file("pwritev", fd)) return real(fd, parts, many, offset);
  if (kills()) real(fd, parts, 1, offset);
  return strike();
}

/* libuv calls copy_file_range by its number. */
long syscall(long number, ...) {
  REAL(long, "syscall", long, long, long, long, long, long, long);
  long a[6];
  va_list arguments;
  va_start(arguments, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(arguments, long);
  va_end(arguments);
  if (number != SYS_copy_file_range || !is_point_of_file("copy_file_range", a[2]))
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  if (kills() && a[4] > 1) real(number, a[0], a[1], a[2], a[3], a[4] / 2, a[5]);
  return strike();
}

ssize_t sendfile64(int to, int from, off_t *offset, size_t size) {
  REAL(ssize_t, "sendfile64", int, int, off_t *, size_t);
  if (!is_point_of_file("sendfile", to)) return real(to, from, offset, size);
  if (kills() && size > 1) real(to, from, offset, size / 2);
  return strike();
}

ssize_t sendfile(int to, int from, off_t *offset, size_t size) { return sendfile64(to, from, offset, size); }
