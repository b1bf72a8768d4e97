/* Files counted by home, and homes given to folders. */
#include "tree_homes.h"

#include <stdlib.h>
#include <string.h>

#include "tar_internal.h"

enum { NOT_MADE = OCF_MARK_THERE | OCF_MARK_HIDES | OCF_MARK_HELD };
enum { NOT_NEW = OCF_MARK_THERE | OCF_MARK_STAYS | OCF_MARK_NOT };
#define MIXED (OCF_NO_FOLDER - 1) /* of several folders, or called otherwise */

int ocf_contents_init(ocf_contents *c)
{
    uint32_t count = 0;
    for (size_t row = 0; row < c->homes_count; row++) {
        uint32_t home = ocf_homes_get(c->homes, c->homes_count, row);
        if (home != OCF_NO_HOME && home >= c->homes_count) /* each has a file */
            return OCF_REFUSED;
        count = home != OCF_NO_HOME && home >= count ? home + 1 : count;
    }
    if (c->homes_count > c->count)
        return OCF_REFUSED;
    c->home = calloc((size_t)count + 1, sizeof *c->home);
    if (!c->home)
        return OCF_NO_MEMORY;
    c->home_count = count;
    for (uint32_t i = 0; i < count; i++)
        c->home[i].folder = OCF_NO_FOLDER;
    for (size_t row = 0; row < c->homes_count; row++) {
        uint32_t home = ocf_homes_get(c->homes, c->homes_count, row);
        if (home != OCF_NO_HOME)
            c->home[home].made++;
    }
    return OCF_OK;
}

void ocf_contents_free(ocf_contents *c)
{
    free(c->home);
    c->home = NULL;
}

static ocf_source source_of(const ocf_tree_table *t, size_t row)
{
    ocf_source source;
    memcpy(&source, t->source + row * sizeof source, sizeof source);
    return source;
}

ocf_home *ocf_home_of(const ocf_tree_table *t, const ocf_contents *contents, size_t layers, size_t row)
{
    ocf_source source = source_of(t, row);
    if (source.layer >= layers)
        return NULL;
    const ocf_contents *c = &contents[source.layer];
    uint32_t home = ocf_homes_get(c->homes, c->homes_count, source.row);
    return home == OCF_NO_HOME ? NULL : &c->home[home];
}

/* A hard link whose first name is gone is a file of another name than it was made with. */
static int has_its_name(const ocf_tree_table *t, const ocf_contents *contents, size_t row)
{
    ocf_source source = source_of(t, row);
    const ocf_contents *c = &contents[source.layer];
    ocf_tar_row now = ocf_row_at(t->rows, row), made = ocf_row_at(c->rows, source.row);
    const uint8_t *path = t->heap + now.path_offset, *old = c->heap + made.path_offset;
    size_t base = ocf_path_base(path, now.path_size), old_base = ocf_path_base(old, made.path_size);
    size_t size = now.path_size - base;
    return size == made.path_size - old_base && memcmp(path + base, old + old_base, size) == 0;
}

static void count_file(const ocf_tree_table *t, ocf_contents *contents, size_t layers, size_t row, uint32_t folder)
{
    ocf_home *home = ocf_home_of(t, contents, layers, row);
    if (!home)
        return;
    home->kept++;
    if (home->folder == OCF_NO_FOLDER)
        home->folder = folder;
    if (home->folder != folder || !has_its_name(t, contents, row))
        home->folder = MIXED;
}

static int is_in(const ocf_tree_table *t, uint32_t folder, const ocf_tar_row *row)
{
    ocf_tar_row above = ocf_row_at(t->rows, folder);
    return row->path_size > above.path_size
        && memcmp(t->heap + row->path_offset, t->heap + above.path_offset, above.path_size) == 0;
}

/* Rows of folders end with a slash and stand before what is in them. */
static int count_files(const ocf_tree_table *t, ocf_contents *contents, size_t layers, ocf_bytes *above)
{
    for (uint32_t row = 0; row < t->count; row++) {
        ocf_tar_row r = ocf_row_at(t->rows, row);
        uint32_t folder = MIXED;
        for (; above->size; above->size -= sizeof folder) {
            memcpy(&folder, above->data + above->size - sizeof folder, sizeof folder);
            if (is_in(t, folder, &r))
                break;
            folder = MIXED;
        }
        if (r.type == '0' && !(t->marks && t->marks[row] & NOT_MADE))
            count_file(t, contents, layers, row, folder);
        if (r.type == '5')
            OCF_TRY(ocf_bytes_append(above, &row, sizeof row));
    }
    return OCF_OK;
}

static void offer(const ocf_tree_table *t, ocf_contents *contents, ocf_made_folder *folders, uint32_t layer,
                  uint32_t number)
{
    ocf_home *home = &contents[layer].home[number];
    uint32_t row = home->folder;
    home->folder = OCF_NO_FOLDER;
    if (row >= t->count || home->kept != home->made || (t->marks && t->marks[row] & NOT_NEW))
        return;
    ocf_made_folder *f = &folders[row];
    ocf_home *other = f->home == OCF_NO_HOME ? NULL : &contents[f->layer].home[f->home];
    if (other && other->made >= home->made)
        return;
    if (other)
        other->folder = OCF_NO_FOLDER;
    f->layer = layer;
    f->home = number;
    home->folder = row;
}

int ocf_homes_plan(const ocf_tree_table *t, ocf_contents *contents, size_t layers, ocf_made_folder *folders)
{
    ocf_bytes above = {0};
    for (size_t row = 0; row < t->count; row++)
        folders[row].home = OCF_NO_HOME;
    int status = count_files(t, contents, layers, &above);
    free(above.data);
    if (status != OCF_OK)
        return status;
    for (uint32_t layer = 0; layer < layers; layer++)
        for (uint32_t number = 0; number < contents[layer].home_count; number++)
            offer(t, contents, folders, layer, number);
    return OCF_OK;
}
