/* Folders on the way to a file, and the file. */
#include "tree_parents.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tar_internal.h"

enum { FILE_FLAGS = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };
enum { FOLDER_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

static int failed(ocf_parents *p, int error)
{
    p->error = error;
    return OCF_REFUSED;
}

void ocf_parents_init(ocf_parents *p, int root)
{
    memset(p, 0, sizeof *p);
    p->root = root;
}

static void pop(ocf_parents *p, size_t levels)
{
    while (p->levels > levels)
        close(p->folders[--p->levels]);
    p->path.size = p->levels ? p->ends[p->levels - 1] : 0;
}

void ocf_parents_free(ocf_parents *p)
{
    pop(p, 0);
    free(p->path.data);
    memset(&p->path, 0, sizeof p->path);
}

int ocf_path_component(const uint8_t *text, size_t size, char *name)
{
    if (size == 0 || size > NAME_MAX || memchr(text, 0, size))
        return 0;
    memcpy(name, text, size);
    name[size] = 0;
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int push(ocf_parents *p, const uint8_t *text, size_t size)
{
    char name[NAME_MAX + 1];
    if (!ocf_path_component(text, size, name))
        return failed(p, OCF_TREE_PATH);
    int above = p->levels ? p->folders[p->levels - 1] : p->root;
    int fd = openat(above, name, FOLDER_FLAGS);
    if (fd < 0)
        return failed(p, errno);
    int status = ocf_bytes_append(&p->path, text, size);
    if (status == OCF_OK)
        status = ocf_bytes_append(&p->path, "/", 1);
    if (status != OCF_OK) {
        close(fd);
        return status;
    }
    size_t depth = p->levels ? p->depths[p->levels - 1] : 0;
    if ((depth > OCF_TREE_STEP && depth % OCF_TREE_STEP) || p->levels == OCF_TREE_LEVELS)
        close(p->folders[--p->levels]); /* far down only some are kept, to go on from */
    p->ends[p->levels] = p->path.size;
    p->depths[p->levels] = depth + 1;
    p->folders[p->levels++] = fd;
    return OCF_OK;
}

/* Keep descriptors of the folders a path shares with the one before, open the others. */
static int reach(ocf_parents *p, const uint8_t *path, size_t size)
{
    size_t levels = p->levels;
    while (levels && (p->ends[levels - 1] > size || memcmp(p->path.data, path, p->ends[levels - 1]) != 0))
        levels--;
    pop(p, levels);
    for (size_t at = p->path.size; at < size;) {
        const uint8_t *slash = memchr(path + at, '/', size - at);
        size_t length = slash ? (size_t)(slash - path) - at : size - at;
        OCF_TRY(push(p, path + at, length));
        at += length + 1;
    }
    return OCF_OK;
}

size_t ocf_path_base(const uint8_t *path, size_t size)
{
    while (size && path[size - 1] != '/')
        size--;
    return size;
}

int ocf_parents_locate(ocf_parents *p, const uint8_t *heap, const ocf_tar_row *row, char *name, int *folder)
{
    const uint8_t *path = heap + row->path_offset;
    size_t size = row->path_size, base;
    if (row->type == '5' && size && path[size - 1] == '/')
        size--;
    base = ocf_path_base(path, size);
    OCF_TRY(reach(p, path, base));
    *folder = p->levels ? p->folders[p->levels - 1] : p->root;
    return ocf_path_component(path + base, size - base, name) ? OCF_OK : failed(p, OCF_TREE_PATH);
}

static int check(ocf_parents *p, const ocf_tar_row *row, const struct stat *s)
{
    if (!S_ISREG(s->st_mode))
        return failed(p, OCF_TREE_KIND);
    p->actual = (uint64_t)s->st_size;
    return p->actual == row->size ? OCF_OK : failed(p, OCF_TREE_SIZE);
}

int ocf_parents_look(ocf_parents *p, const uint8_t *heap, const ocf_tar_row *row)
{
    char name[NAME_MAX + 1];
    struct stat s;
    int folder;
    OCF_TRY(ocf_parents_locate(p, heap, row, name, &folder));
    if (fstatat(folder, name, &s, AT_SYMLINK_NOFOLLOW))
        return failed(p, errno);
    return check(p, row, &s);
}

int ocf_parents_open(ocf_parents *p, const uint8_t *heap, const ocf_tar_row *row, int *fd, struct stat *s)
{
    char name[NAME_MAX + 1];
    int folder;
    *fd = -1;
    OCF_TRY(ocf_parents_locate(p, heap, row, name, &folder));
    int file = openat(folder, name, FILE_FLAGS);
    if (file < 0)
        return failed(p, errno == ELOOP || errno == ENXIO ? OCF_TREE_KIND : errno);
    int status = fstat(file, s) ? failed(p, errno) : check(p, row, s);
    if (status == OCF_OK)
        *fd = file;
    else
        close(file);
    return status;
}
