/* openat2 without the kernel's headers, which are older than it where wheels are built. */
#include "tree_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_openat2
#define SYS_openat2 437 /* on every architecture but alpha */
#endif

enum { NO_MAGICLINKS = 0x02, IN_ROOT = 0x10 };
enum { LOOK = O_PATH | O_CLOEXEC, READ = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };
enum { TRIES = 128 };

struct how { uint64_t flags, mode, resolve; };

/* The kernel gives up (EAGAIN) when anything at all was renamed while it went through "..". */
static int open_once(int root, const char *path, int flags, int *fd)
{
    struct how how = {(uint64_t)(unsigned)flags, 0, IN_ROOT | NO_MAGICLINKS};
    for (int i = 0; i < TRIES; i++) {
        *fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
        if (*fd >= 0)
            return 0;
        if (errno != EAGAIN && errno != EINTR)
            break;
    }
    return errno;
}

/* What failed at a path: with EPERM, also whether openat2 is refused whatever is asked for. */
static int reason(int root, int error)
{
    int fd;
    if (error == ENOSYS)
        return OCF_OPEN_NONE;
    if (error != EPERM || open_once(root, ".", LOOK, &fd) == EPERM)
        return error == EPERM ? OCF_OPEN_NONE : error;
    if (fd >= 0)
        close(fd);
    return error;
}

static int open_file(int root, const char *path, const struct stat *looked_at, int *fd)
{
    struct stat s;
    int error = open_once(root, path, READ, fd);
    if (error)
        return error;
    if (fstat(*fd, &s) == 0 && s.st_dev == looked_at->st_dev && s.st_ino == looked_at->st_ino)
        return 0;
    close(*fd);
    return ESTALE;
}

int ocf_open_in_root(int root, const char *path, int what, int *fd)
{
    struct stat s;
    int looked, error = open_once(root, path, what == OCF_OPEN_FOLDER ? LOOK | O_DIRECTORY : LOOK, fd);
    if (error)
        return reason(root, error);
    if (what == OCF_OPEN_FOLDER)
        return 0;
    looked = *fd;
    error = fstat(looked, &s) ? errno : 0;
    if (error == 0)
        error = S_ISREG(s.st_mode) ? open_file(root, path, &s, fd) : OCF_OPEN_KIND;
    close(looked);
    return error;
}
