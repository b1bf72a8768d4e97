/* The xattrs of some entries of a table, by their paths. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "tar_internal.h"
#include "tree_parents.h"
#include "tree_walk.h"

enum { POLL_EVERY = 4096 };

static int refused(ocf_walk *w, const ocf_tar_row *row, int error)
{
    w->error = error;
    w->path.size = 0;
    OCF_TRY(ocf_bytes_append(&w->path, w->heap.data + row->path_offset, row->path_size));
    return OCF_REFUSED;
}

static int add(ocf_walk *w, ocf_parents *parents, size_t index)
{
    ocf_tar_row row;
    char name[NAME_MAX + 1];
    int folder, status;
    memcpy(&row, w->rows.data + index * sizeof row, sizeof row);
    status = ocf_parents_locate(parents, w->heap.data, &row, name, &folder);
    if (status == OCF_REFUSED)
        return refused(w, &row, parents->error == OCF_TREE_PATH ? ENOENT : parents->error);
    if (status == OCF_OK)
        status = ocf_walk_xattrs(w, folder, name, 0, 0);
    if (status == OCF_REFUSED)
        return refused(w, &row, w->error);
    OCF_TRY(status);
    row.xattr_offset = w->heap.size;
    row.xattr_size = (uint32_t)w->xattrs.size;
    OCF_TRY(ocf_bytes_append(&w->heap, w->xattrs.data, w->xattrs.size));
    memcpy(w->rows.data + index * sizeof row, &row, sizeof row);
    return OCF_OK;
}

int ocf_walk_add_xattrs(ocf_walk *w, int root, const uint8_t *which, size_t count)
{
    ocf_parents parents;
    int status = OCF_OK;
    ocf_parents_init(&parents, root);
    for (size_t i = 0; status == OCF_OK && i < count; i++) {
        uint32_t index;
        memcpy(&index, which + 4 * i, sizeof index);
        if (w->poll && i % POLL_EVERY == POLL_EVERY - 1 && w->poll(w->context)) {
            w->error = 0;
            status = OCF_REFUSED;
            break;
        }
        status = add(w, &parents, index);
    }
    ocf_parents_free(&parents);
    return status;
}
