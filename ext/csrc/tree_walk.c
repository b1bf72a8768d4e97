/* The walk over a folder: frames on a stack, a row for each entry. */
#include "tree_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tar_internal.h"

enum { LIST_BYTES = 128 << 10, OPEN_FRAMES = 128, POLL_EVERY = 4096 };
enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

struct dirent64_head { /* what getdents64(2) gives; the libc does not declare it */
    uint64_t ino;
    int64_t off;
    uint16_t size;
    uint8_t type;
    char name[];
};

static int failed(ocf_walk *w, int error)
{
    w->error = error;
    return OCF_REFUSED;
}

int ocf_walk_init(ocf_walk *w, int with_xattrs)
{
    memset(w, 0, sizeof *w);
    for (size_t i = 0; i < OCF_WALK_DEPTH_MAX; i++)
        w->frames[i].fd = -1;
    w->with_xattrs = with_xattrs;
    w->inode_size = 256;
    w->inodes = calloc(w->inode_size, sizeof *w->inodes);
    return w->inodes ? OCF_OK : OCF_NO_MEMORY;
}

void ocf_walk_free(ocf_walk *w)
{
    for (size_t i = 0; i < OCF_WALK_DEPTH_MAX; i++) {
        if (i && w->frames[i].fd >= 0)
            close(w->frames[i].fd);
        free(w->frames[i].names.data);
        free(w->frames[i].sorted.data);
    }
    ocf_bytes *owned[] = {&w->rows, &w->heap, &w->path, &w->left_out, &w->xattrs, &w->scratch};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]->data);
    free(w->inodes);
    memset(w, 0, sizeof *w);
}

/* ---- inodes with several names ---- */

static ocf_walk_inode *place_of(ocf_walk *w, uint64_t dev, uint64_t ino)
{
    uint64_t hash = (ino ^ dev * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xd6e8feb86659fd93);
    size_t at = (size_t)(hash >> 32) & (w->inode_size - 1);
    while (w->inodes[at].row && (w->inodes[at].dev != dev || w->inodes[at].ino != ino))
        at = (at + 1) & (w->inode_size - 1);
    return &w->inodes[at];
}

static int grow_inodes(ocf_walk *w)
{
    ocf_walk_inode *old = w->inodes;
    size_t size = w->inode_size;
    w->inodes = calloc(size * 2, sizeof *old);
    if (w->inodes == NULL) {
        w->inodes = old;
        return OCF_NO_MEMORY;
    }
    w->inode_size = size * 2;
    for (size_t i = 0; i < size; i++)
        if (old[i].row)
            *place_of(w, old[i].dev, old[i].ino) = old[i];
    free(old);
    return OCF_OK;
}

/* The row of the first name, counted from 1; 0 when this is the first, which is noted then. */
static int first_name(ocf_walk *w, uint64_t dev, uint64_t ino, uint64_t *first)
{
    if (w->inode_count * 2 >= w->inode_size)
        OCF_TRY(grow_inodes(w));
    ocf_walk_inode *found = place_of(w, dev, ino);
    *first = found->row;
    if (found->row == 0) {
        *found = (ocf_walk_inode){dev, ino, w->rows.size / sizeof(ocf_tar_row) + 1};
        w->inode_count++;
    }
    return OCF_OK;
}

/* ---- rows ---- */

static int add_link(ocf_walk *w, ocf_tar_row *row, uint64_t first)
{
    ocf_tar_row target;
    memcpy(&target, w->rows.data + (first - 1) * sizeof target, sizeof target);
    row->type = '1';
    row->size = row->stored_size = 0;
    row->link_offset = w->heap.size;
    row->link_size = target.path_size;
    OCF_TRY(ocf_bytes_reserve(&w->heap, target.path_size));
    return ocf_bytes_append(&w->heap, w->heap.data + target.path_offset, target.path_size);
}

static int add_target(ocf_walk *w, ocf_tar_row *row, int folder, const char *name)
{
    row->link_offset = w->heap.size;
    OCF_TRY(ocf_bytes_reserve(&w->heap, PATH_MAX + 1));
    ssize_t size = readlinkat(folder, name, (char *)w->heap.data + w->heap.size, PATH_MAX + 1);
    if (size < 0)
        return failed(w, errno);
    if (size > PATH_MAX)
        return failed(w, OCF_WALK_TARGET);
    row->link_size = (uint32_t)size;
    w->heap.size += (size_t)size;
    return OCF_OK;
}

static uint8_t type_of(unsigned mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG: return '0';
    case S_IFLNK: return '2';
    case S_IFCHR: return '3';
    case S_IFBLK: return '4';
    case S_IFDIR: return '5';
    case S_IFIFO: return '6';
    default: return 0;
    }
}

/* File systems hold times that nanoseconds in 63 bits do not; the parser cuts at the same place. */
static int64_t time_of(const struct statx_timestamp *time)
{
    const int64_t cap = (int64_t)OCF_SECONDS_CAP, second = 1000000000;
    if (time->tv_sec > cap || time->tv_sec < -cap)
        return time->tv_sec > 0 ? cap * second : -cap * second;
    return time->tv_sec * second + time->tv_nsec;
}

static void fill(ocf_tar_row *row, const struct statx *s)
{
    row->type = type_of(s->stx_mode);
    row->mode = s->stx_mode & 07777;
    row->uid = s->stx_uid;
    row->gid = s->stx_gid;
    row->mtime_ns = time_of(&s->stx_mtime);
    if (row->type == '0')
        row->size = row->stored_size = s->stx_size;
    if (row->type == '3' || row->type == '4') {
        row->dev_major = s->stx_rdev_major;
        row->dev_minor = s->stx_rdev_minor;
    }
}

static int add_row(ocf_walk *w, int folder, const char *name, const struct statx *s)
{
    ocf_tar_row row = {0};
    uint64_t first = 0, dev = makedev(s->stx_dev_major, s->stx_dev_minor);
    fill(&row, s);
    row.path_offset = w->heap.size;
    row.path_size = (uint32_t)w->path.size;
    OCF_TRY(ocf_bytes_append(&w->heap, w->path.data, w->path.size));
    if (row.type != '5' && s->stx_nlink > 1)
        OCF_TRY(first_name(w, dev, s->stx_ino, &first));
    if (first)
        OCF_TRY(add_link(w, &row, first));
    else if (row.type == '2')
        OCF_TRY(add_target(w, &row, folder, name));
    /* Links have those of their inode: an engine gives every name its owner, and chown(2) takes a
     * capability off, which the link has to set again. moby writes it there too. */
    OCF_TRY(ocf_walk_xattrs(w, folder, name, dev, S_ISREG(s->stx_mode) || S_ISDIR(s->stx_mode)));
    row.xattr_offset = w->heap.size;
    row.xattr_size = (uint32_t)w->xattrs.size;
    OCF_TRY(ocf_bytes_append(&w->heap, w->xattrs.data, w->xattrs.size));
    return ocf_bytes_append(&w->rows, &row, sizeof row);
}

/* ---- folders ---- */

static int by_name(const void *a, const void *b, void *names)
{
    return strcmp((const char *)names + *(const uint32_t *)a, (const char *)names + *(const uint32_t *)b);
}

static int list(ocf_walk *w, ocf_walk_frame *frame)
{
    frame->names.size = frame->sorted.size = frame->next = 0;
    OCF_TRY(ocf_bytes_reserve(&w->scratch, LIST_BYTES));
    if (lseek(frame->fd, 0, SEEK_SET)) /* the root may have been listed before */
        return failed(w, errno);
    for (;;) {
        long got = syscall(SYS_getdents64, frame->fd, w->scratch.data, (size_t)LIST_BYTES);
        if (got < 0)
            return failed(w, errno);
        if (got == 0)
            break;
        for (long at = 0; at < got;) {
            const struct dirent64_head *entry = (const void *)(w->scratch.data + at);
            at += entry->size;
            if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
                continue;
            uint32_t offset = (uint32_t)frame->names.size;
            OCF_TRY(ocf_bytes_append(&frame->names, entry->name, strlen(entry->name) + 1));
            OCF_TRY(ocf_bytes_append(&frame->sorted, &offset, sizeof offset));
        }
    }
    if (frame->sorted.size)
        qsort_r(frame->sorted.data, frame->sorted.size / 4, 4, by_name, frame->names.data);
    return OCF_OK;
}

static int enter(ocf_walk *w, int fd)
{
    struct stat s;
    ocf_walk_frame *frame = &w->frames[w->depth];
    frame->fd = fd;
    if (fstat(fd, &s))
        return failed(w, errno);
    frame->dev = s.st_dev;
    frame->ino = s.st_ino;
    frame->path_size = w->path.size;
    w->depth++;
    if (w->depth > OPEN_FRAMES && w->depth - OPEN_FRAMES > 1) { /* deep trees must not use up descriptors */
        ocf_walk_frame *old = &w->frames[w->depth - OPEN_FRAMES - 1];
        if (old->fd >= 0)
            close(old->fd);
        old->fd = -1;
    }
    return list(w, frame);
}

static int open_again(ocf_walk *w, size_t level)
{
    struct stat s;
    ocf_walk_frame *frame = &w->frames[level];
    size_t above = level - 1;
    while (w->frames[above].fd < 0)
        above--;
    int fd = w->frames[above].fd;
    for (size_t at = above; at < level; at++) {
        char name[NAME_MAX + 1];
        size_t start = w->frames[at].path_size, size = w->frames[at + 1].path_size - start - 1;
        memcpy(name, w->path.data + start, size);
        name[size] = 0;
        int next = openat(fd, name, FOLDER_FLAGS);
        int error = errno;
        if (at > above)
            close(fd);
        if (next < 0)
            return failed(w, error);
        fd = next;
    }
    frame->fd = fd;
    if (fstat(fd, &s))
        return failed(w, errno);
    return s.st_dev == frame->dev && s.st_ino == frame->ino ? OCF_OK : failed(w, ENOENT);
}

static int leave(ocf_walk *w)
{
    ocf_walk_frame *frame = &w->frames[--w->depth];
    if (w->depth) {
        close(frame->fd);
        frame->fd = -1;
        if (w->frames[w->depth - 1].fd < 0)
            return open_again(w, w->depth - 1);
    }
    return OCF_OK;
}

static int descend(ocf_walk *w, int folder, const char *name)
{
    if (w->depth == OCF_WALK_DEPTH_MAX)
        return failed(w, OCF_WALK_DEPTH);
    int fd = openat(folder, name, FOLDER_FLAGS);
    if (fd < 0)
        return failed(w, errno);
    return enter(w, fd);
}

static int visit(ocf_walk *w, int folder, const char *name)
{
    struct statx s;
    OCF_TRY(ocf_bytes_append(&w->path, name, strlen(name)));
    if (statx(folder, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &s))
        return failed(w, errno);
    int is_folder = S_ISDIR(s.stx_mode);
    if (w->ask) {
        int answer = w->ask(w->context, w->path.data, w->path.size, is_folder);
        if (answer <= 0)
            return answer ? failed(w, 0) : OCF_OK;
    }
    if (strncmp(name, ".wh.", 4) == 0)
        return failed(w, OCF_WALK_WHITEOUT);
    if (type_of(s.stx_mode) == 0) {
        OCF_TRY(ocf_bytes_append(&w->left_out, w->path.data, w->path.size));
        return ocf_bytes_append(&w->left_out, "", 1);
    }
    if (is_folder)
        OCF_TRY(ocf_bytes_append(&w->path, "/", 1));
    OCF_TRY(add_row(w, folder, name, &s));
    return is_folder ? descend(w, folder, name) : OCF_OK;
}

int ocf_walk_run(ocf_walk *w, int root)
{
    uint64_t seen = 0;
    OCF_TRY(enter(w, root));
    while (w->depth) {
        ocf_walk_frame *frame = &w->frames[w->depth - 1];
        if (frame->next == frame->sorted.size / 4) {
            OCF_TRY(leave(w));
            continue;
        }
        if (w->poll && seen++ % POLL_EVERY == 0 && w->poll(w->context))
            return failed(w, 0);
        uint32_t offset;
        memcpy(&offset, frame->sorted.data + 4 * frame->next++, sizeof offset);
        w->path.size = frame->path_size;
        OCF_TRY(visit(w, frame->fd, (const char *)frame->names.data + offset));
    }
    return OCF_OK;
}
