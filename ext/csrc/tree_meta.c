/* Metadata onto descriptors and names; what a file system does not take is counted. */
#include "tree_meta.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "tar_internal.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

enum { PROC_PATH = NAME_MAX + 32 };
static const char capability[] = "security.capability", record[] = "user.rootlesscontainers";

static int failed(ocf_meta *m, int error)
{
    m->error = error;
    return OCF_REFUSED;
}

static void lose(ocf_meta *m, int kind)
{
    if (m->lost[kind]++ == 0)
        m->first[kind] = m->number;
}

/* The name of a thing for system calls that take neither descriptor nor folder; the folder is pinned
 * by its descriptor, and l*xattr(2) do not follow the last component. */
static const char *path_of(const ocf_made *made, char *path)
{
    snprintf(path, PROC_PATH, "/proc/self/fd/%d/%s", made->folder, made->name);
    return path;
}

/* ---- owner ---- */

static int map(ocf_meta *m, const ocf_id_range *ranges, size_t count, uint32_t id, uint32_t *host)
{
    *host = id;
    if (count == 0)
        return OCF_OK;
    for (size_t i = 0; i < count; i++) {
        if (id >= ranges[i].container && id - ranges[i].container < ranges[i].size) {
            *host = ranges[i].host + (id - ranges[i].container);
            return OCF_OK;
        }
    }
    m->actual = id;
    return failed(m, OCF_META_UNMAPPED);
}

static int set_owner(ocf_meta *m, const ocf_made *made, const ocf_tar_row *row, int *changed)
{
    uint32_t uid, gid;
    *changed = 0;
    if (m->flags & OCF_META_ROOTLESS)
        return OCF_OK;
    OCF_TRY(map(m, m->uids, m->uid_count, row->uid, &uid));
    OCF_TRY(map(m, m->gids, m->gid_count, row->gid, &gid));
    if (made->has_own_ids && uid == m->own_uid && gid == m->own_gid)
        return OCF_OK;
    *changed = 1;
    int status = made->descriptor >= 0 ? fchown(made->descriptor, uid, gid)
                                       : fchownat(made->folder, made->name, uid, gid, AT_SYMLINK_NOFOLLOW);
    return status ? failed(m, errno) : OCF_OK;
}

/* ---- xattrs ---- */

static int set_xattr(ocf_meta *m, const ocf_made *made, const char *name, const void *value, size_t size)
{
    char path[PROC_PATH];
    int status = made->descriptor >= 0 ? fsetxattr(made->descriptor, name, value, size, 0)
                                       : lsetxattr(path_of(made, path), name, value, size, 0);
    if (status == 0)
        return OCF_OK;
    int is_users = strncmp(name, "user.", 5) == 0;
    if (errno == ENOTSUP) {
        lose(m, OCF_LOST_UNSUPPORTED);
        return OCF_OK;
    }
    /* links and devices cannot have user's ones; others need privilege, which rootless has not */
    if (errno == EPERM && (is_users ? made->descriptor < 0 : m->flags & OCF_META_ROOTLESS)) {
        lose(m, OCF_LOST_DENIED);
        return OCF_OK;
    }
    return failed(m, errno);
}

static int starts(const uint8_t *name, size_t size, const char *with)
{
    size_t length = strlen(with);
    return size >= length && memcmp(name, with, length) == 0;
}

/* What overlayfs would take for its own goes one level down: overlayfs takes that off again. */
static size_t escape(const uint8_t *name, size_t size, char *out)
{
    static const char *const spaces[] = {"trusted.overlay.", "user.overlay."};
    static const char more[] = "overlay.";
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        size_t length = strlen(spaces[i]);
        if (!starts(name, size, spaces[i]) || size + sizeof more > XATTR_NAME_MAX)
            continue;
        memcpy(out, spaces[i], length);
        memcpy(out + length, more, sizeof more - 1);
        memcpy(out + length + sizeof more - 1, name + length, size - length);
        return size + sizeof more - 1;
    }
    memcpy(out, name, size);
    return size;
}

static int set_one(ocf_meta *m, const ocf_made *made, const uint8_t *name, size_t size, const uint8_t *value,
                   size_t value_size)
{
    char text[XATTR_NAME_MAX + 1];
    if (starts(name, size, "security.selinux")) {
        lose(m, OCF_LOST_LABEL);
        return OCF_OK;
    }
    const uint8_t *dot = memchr(name, '.', size);
    if (size > XATTR_NAME_MAX || dot == NULL || dot + 1 == name + size) { /* no name at all: EINVAL (P26) */
        lose(m, OCF_LOST_UNSUPPORTED);
        return OCF_OK;
    }
    if ((m->flags & OCF_META_ROOTLESS) && size == sizeof record - 1 && starts(name, size, record))
        return OCF_OK; /* it is ours to say */
    if (m->flags & OCF_META_OVERLAY)
        size = escape(name, size, text);
    else
        memcpy(text, name, size);
    text[size] = 0;
    return set_xattr(m, made, text, value, value_size);
}

/* Those that are a capability, or those that are none. */
static int set_xattrs(ocf_meta *m, const ocf_made *made, const uint8_t *run, size_t size, int capabilities)
{
    uint32_t head[2];
    for (size_t at = 0; at < size; at += sizeof head + head[0] + head[1]) {
        memcpy(head, run + at, sizeof head);
        const uint8_t *name = run + at + sizeof head;
        int is_one = head[0] == sizeof capability - 1 && starts(name, head[0], capability);
        if (is_one == capabilities)
            OCF_TRY(set_one(m, made, name, head[0], name + head[0], head[1]));
    }
    return OCF_OK;
}

static size_t varint(uint8_t *out, uint8_t tag, uint32_t value)
{
    size_t size = 0;
    if (value == 0) /* as protobuf leaves it out */
        return 0;
    out[size++] = tag;
    for (; value > 127; value >>= 7)
        out[size++] = (uint8_t)(value | 128);
    out[size++] = (uint8_t)value;
    return size;
}

/* The owner as umoci and PRoot read it: a message of two numbers. */
static int record_owner(ocf_meta *m, const ocf_made *made, const ocf_tar_row *row)
{
    uint8_t message[16];
    uint64_t denied = m->lost[OCF_LOST_DENIED], unsupported = m->lost[OCF_LOST_UNSUPPORTED];
    uint64_t first[2] = {m->first[OCF_LOST_DENIED], m->first[OCF_LOST_UNSUPPORTED]};
    size_t size = varint(message, 0x08, row->uid);
    size += varint(message + size, 0x10, row->gid);
    if (size == 0)
        return OCF_OK;
    OCF_TRY(set_xattr(m, made, record, message, size));
    if (m->lost[OCF_LOST_DENIED] != denied || m->lost[OCF_LOST_UNSUPPORTED] != unsupported) {
        m->lost[OCF_LOST_DENIED] = denied;
        m->lost[OCF_LOST_UNSUPPORTED] = unsupported;
        m->first[OCF_LOST_DENIED] = first[0];
        m->first[OCF_LOST_UNSUPPORTED] = first[1];
        lose(m, OCF_LOST_OWNER);
    }
    return OCF_OK;
}

/* ---- mode and times ---- */

static int set_mode(ocf_meta *m, const ocf_made *made, uint32_t mode)
{
    char path[32];
    if (made->descriptor >= 0)
        return fchmod(made->descriptor, mode) ? failed(m, errno) : OCF_OK;
    if (syscall(SYS_fchmodat2, made->folder, made->name, mode, AT_SYMLINK_NOFOLLOW) == 0)
        return OCF_OK;
    if (errno != ENOSYS && errno != EPERM)
        return failed(m, errno);
    /* Kernels before 6.6: through the magic link of a descriptor that no link led to. */
    int fd = openat(made->folder, made->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return failed(m, errno);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int status = chmod(path, mode) ? failed(m, errno) : OCF_OK;
    close(fd);
    return status;
}

static int set_times(ocf_meta *m, const ocf_made *made, int64_t mtime_ns)
{
    const int64_t second = 1000000000;
    int64_t rest = mtime_ns % second, seconds = mtime_ns / second;
    struct timespec time = {seconds - (rest < 0), rest < 0 ? rest + second : rest}, both[2] = {time, time};
    int status = made->descriptor >= 0 ? futimens(made->descriptor, both)
                                       : utimensat(made->folder, made->name, both, AT_SYMLINK_NOFOLLOW);
    return status ? failed(m, errno) : OCF_OK;
}

int ocf_meta_set(ocf_meta *m, const ocf_made *made, const ocf_tar_row *row, const uint8_t *xattrs)
{
    int changed = 0;
    uint32_t mode = row->mode & 07777;
    OCF_TRY(set_owner(m, made, row, &changed));
    if (row->xattr_size)
        OCF_TRY(set_xattrs(m, made, xattrs, row->xattr_size, 0));
    if (m->flags & OCF_META_ROOTLESS)
        OCF_TRY(record_owner(m, made, row));
    /* a file made with its mode has it, unless umask or chown(2) took bits of it */
    if (row->type != '2' && (mode != (made->mode & ~m->umask) || (changed && mode & 07000)))
        OCF_TRY(set_mode(m, made, mode));
    if (row->xattr_size)
        OCF_TRY(set_xattrs(m, made, xattrs, row->xattr_size, 1));
    return set_times(m, made, row->mtime_ns);
}
