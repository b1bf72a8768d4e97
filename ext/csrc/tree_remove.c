/* Downwards into the first folder there is, upwards when one is empty. */
#include "tree_remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tar_internal.h"

enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK };

static int is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Give ourselves leave to open a folder, through a descriptor that no link led to. */
static int unlock(int above, const char *name)
{
    char path[32];
    int fd = openat(above, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int status = chmod(path, 0700);
    close(fd);
    return status;
}

/* Enter a folder of the device, with leave to change it. */
static int enter(int above, const char *name, dev_t device, int *fd)
{
    struct stat s;
    *fd = openat(above, name, FOLDER_FLAGS);
    if (*fd < 0 && errno == EACCES && unlock(above, name) == 0)
        *fd = openat(above, name, FOLDER_FLAGS);
    if (*fd < 0)
        return errno;
    int error = fstat(*fd, &s) ? errno : s.st_dev != device ? EXDEV : 0;
    if (error == 0 && (s.st_mode & 0700) != 0700 && fchmod(*fd, 0700))
        error = errno;
    if (error)
        close(*fd);
    return error;
}

/* Remove what is no folder; *inner is the name of a folder that is in the way, or empty. */
static int sweep(int folder, char *inner)
{
    int copy = openat(folder, ".", FOLDER_FLAGS), error = 0;
    if (copy < 0)
        return errno;
    DIR *list = fdopendir(copy);
    if (list == NULL) {
        error = errno;
        close(copy);
        return error;
    }
    *inner = 0;
    struct dirent *entry;
    while (errno = 0, error == 0 && (entry = readdir(list))) {
        if (is_dots(entry->d_name))
            continue;
        if (unlinkat(folder, entry->d_name, 0) == 0)
            continue;
        error = errno;
        if (error != EISDIR && error != EPERM) /* a folder, as Linux and as POSIX say it */
            break;
        if (unlinkat(folder, entry->d_name, AT_REMOVEDIR) == 0) {
            error = 0;
        } else if (errno == ENOTEMPTY || errno == EEXIST || errno == EACCES) {
            error = 0;
            strcpy(inner, entry->d_name);
            break;
        } else if (errno != ENOTDIR) {
            error = errno;
        }
    }
    if (error == 0 && errno && *inner == 0)
        error = errno;
    closedir(list);
    return error;
}

/* The folder above, which has to be the one we came from: ".." of a folder that somebody moved is
 * another one, and not ours to empty (P17). */
static int back(int folder, const struct stat *above, int *fd)
{
    struct stat s;
    *fd = openat(folder, "..", FOLDER_FLAGS);
    if (*fd < 0)
        return errno;
    if (fstat(*fd, &s) == 0 && s.st_dev == above->st_dev && s.st_ino == above->st_ino)
        return 0;
    close(*fd);
    return ESTALE;
}

/* Empty the folder that `fd` is open on, and close it. */
static int empty(int fd, ocf_bytes *way)
{
    char inner[NAME_MAX + 1];
    struct stat here;
    int error = 0, next;
    for (;;) {
        if (fstat(fd, &here))
            error = errno;
        if (error == 0)
            error = sweep(fd, inner);
        if (error || (*inner == 0 && way->size == 0))
            break;
        if (*inner) {
            error = enter(fd, inner, here.st_dev, &next);
            if (error == 0 && ocf_bytes_append(way, &here, sizeof here) != OCF_OK) {
                close(next);
                error = ENOMEM;
            }
        } else { /* its parent removes it, in a sweep of its own */
            way->size -= sizeof here;
            memcpy(&here, way->data + way->size, sizeof here);
            error = back(fd, &here, &next);
        }
        if (error)
            break;
        close(fd);
        fd = next;
    }
    close(fd);
    return error;
}

int ocf_tree_remove(int folder, const char *name)
{
    struct stat s;
    ocf_bytes way = {0};
    int fd;
    if (fstatat(folder, name, &s, AT_SYMLINK_NOFOLLOW))
        return errno;
    if (!S_ISDIR(s.st_mode))
        return unlinkat(folder, name, 0) ? errno : 0;
    int error = enter(folder, name, s.st_dev, &fd);
    if (error)
        return error;
    error = empty(fd, &way);
    free(way.data);
    if (error)
        return error;
    return unlinkat(folder, name, AT_REMOVEDIR) ? errno : 0;
}
