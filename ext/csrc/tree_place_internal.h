/* What the files of tree_place.h share among themselves; nothing here is for callers. */
#ifndef OCF_TREE_PLACE_INTERNAL_H
#define OCF_TREE_PLACE_INTERNAL_H

#include <errno.h>
#include <fcntl.h>

#include "tar_internal.h"
#include "tree_place.h"

enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK };

static inline int failed(ocf_placer *p, int error)
{
    p->error = error;
    return OCF_REFUSED;
}

static inline int locate(ocf_placer *p, ocf_parents *parents, const ocf_tar_row *row, char *name, int *folder)
{
    int status = ocf_parents_locate(parents, p->what->tree.heap, row, name, folder);
    return status == OCF_REFUSED ? failed(p, parents->error) : status;
}

static inline int set_metadata(ocf_placer *p, const ocf_made *made, const ocf_tar_row *row)
{
    p->meta->number = p->index;
    int status = ocf_meta_set(p->meta, made, row, p->what->tree.heap + row->xattr_offset);
    return status == OCF_REFUSED ? failed(p, p->meta->error) : status;
}

static inline int is_marked(const ocf_placer *p, int marks)
{
    return p->what->tree.marks && p->what->tree.marks[p->index] & marks;
}

/* Whether a file system cannot promise in one step that a rename replaces nothing. */
static inline int cannot_promise(int error)
{
    return error == EINVAL || error == ENOSYS;
}

#endif
