/* The xattrs of a file that belong into a layer: sorted, those of the machine left out. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tar_internal.h"
#include "tree_walk.h"

#ifndef SYS_listxattrat /* Linux 6.13; one number on every architecture */
#define SYS_listxattrat 465
#endif

enum { VALUE_MAX = 64 << 10, LIST_MAX = 64 << 10 };

/* Labels that a machine sets for itself: they are wrong on any other, and engines set their own. */
static const char *const of_the_machine[] = {
    "security.selinux", "security.ima", "security.evm", "security.SMACK64", "security.apparmor",
};
/* What overlayfs keeps its own state in; in a layer it would be taken for it (P24). */
static const char *const of_overlay[] = {"trusted.overlay.", "user.overlay."};
static const char *const taken[] = {"security.", "system.", "trusted.", "user."};

static int begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

static int belongs(const char *name)
{
    int good = 0;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        good |= begins(name, taken[i]);
    for (size_t i = 0; i < sizeof of_overlay / sizeof *of_overlay; i++)
        good &= !begins(name, of_overlay[i]);
    for (size_t i = 0; i < sizeof of_the_machine / sizeof *of_the_machine; i++)
        good &= strcmp(name, of_the_machine[i]) != 0;
    return good && !begins(name, "system.nfs4_acl");
}

/* A capability bound to a user namespace's root (revision 3) becomes the plain one (revision 2):
 * moby does so, because the namespace means nothing elsewhere. */
static size_t plain_capability(uint8_t *value, size_t size)
{
    if (size != 24 || value[3] != 3)
        return size;
    value[3] = 2;
    return 20;
}

static int failed(ocf_walk *w, int error)
{
    w->error = error;
    return OCF_REFUSED;
}

static int append_value(ocf_walk *w, const char *path, const char *name)
{
    uint32_t head[2];
    size_t start = w->xattrs.size;
    OCF_TRY(ocf_bytes_reserve(&w->xattrs, sizeof head + strlen(name) + VALUE_MAX));
    uint8_t *value = w->xattrs.data + start + sizeof head + strlen(name);
    ssize_t size = lgetxattr(path, name, value, VALUE_MAX);
    if (size < 0 && errno == ENODATA) /* it is gone again */
        return OCF_OK;
    if (size < 0)
        return failed(w, errno == ERANGE ? OCF_WALK_XATTR : errno);
    if (strcmp(name, "security.capability") == 0)
        size = (ssize_t)plain_capability(value, (size_t)size);
    head[0] = (uint32_t)strlen(name);
    head[1] = (uint32_t)size;
    memcpy(w->xattrs.data + start, head, sizeof head);
    memcpy(w->xattrs.data + start + sizeof head, name, head[0]);
    w->xattrs.size += sizeof head + head[0] + head[1];
    return OCF_OK;
}

/* The smallest name behind `last`; lists are short, so no sort is worth it. */
static const char *next_name(const char *list, size_t size, const char *last)
{
    const char *best = NULL;
    for (const char *name = list; name < list + size; name += strlen(name) + 1)
        if (belongs(name) && (last == NULL || strcmp(name, last) > 0) && (best == NULL || strcmp(name, best) < 0))
            best = name;
    return best;
}

/* Older kernels list by descriptor only; a path through /proc leads there, at twice the time of all
 * else there is to do for an entry. A link at its end is not followed either way. */
static ssize_t list_names(ocf_walk *w, int folder, const char *name, const char *path)
{
    if (!w->no_listxattrat) {
        long size = syscall(SYS_listxattrat, folder, name, AT_SYMLINK_NOFOLLOW, w->scratch.data, (size_t)LIST_MAX);
        if (size >= 0 || (errno != ENOSYS && errno != EPERM)) /* EPERM: a seccomp filter of old */
            return size;
        w->no_listxattrat = 1;
    }
    return llistxattr(path, (char *)w->scratch.data, LIST_MAX);
}

int ocf_walk_xattrs(ocf_walk *w, int folder, const char *name, uint64_t dev, int plain)
{
    char path[64 + NAME_MAX + 1];
    w->xattrs.size = 0;
    if (!w->with_xattrs || (w->no_xattrs && w->no_xattrs_on == dev))
        return OCF_OK;
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", folder, name);
    OCF_TRY(ocf_bytes_reserve(&w->scratch, LIST_MAX));
    ssize_t size = list_names(w, folder, name, path);
    if (size < 0 && errno == ENOTSUP) {
        if (plain) { /* a file system may refuse them for links and devices only */
            w->no_xattrs = 1;
            w->no_xattrs_on = dev;
        }
        return OCF_OK;
    }
    if (size < 0)
        return failed(w, errno == ERANGE || errno == E2BIG ? OCF_WALK_XATTR : errno);
    const char *list = (const char *)w->scratch.data, *at = NULL;
    while (size && (at = next_name(list, (size_t)size, at)) != NULL)
        OCF_TRY(append_value(w, path, at));
    return OCF_OK;
}
