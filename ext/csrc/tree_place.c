/* Names in folders: files, links, devices, whiteouts. */
#include "tree_place_internal.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { EMPTY_FILE = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC };

void ocf_placer_init(ocf_placer *p, const ocf_placing *what, ocf_meta *meta)
{
    memset(p, 0, sizeof *p);
    p->what = what;
    p->meta = meta;
    ocf_parents_init(&p->parents, what->root);
    ocf_parents_init(&p->targets, what->root);
    p->home.fd = -1;
}

void ocf_placer_free(ocf_placer *p)
{
    ocf_parents_free(&p->parents);
    ocf_parents_free(&p->targets);
    ocf_home_close(&p->home);
}

static int is_there(const ocf_placer *p)
{
    return is_marked(p, OCF_MARK_THERE);
}

static ocf_home *home_of(const ocf_placer *p)
{
    return ocf_home_of(&p->what->tree, p->what->contents, p->what->layers, p->index);
}

/* A file whose home became its folder. */
static int is_placed(const ocf_placer *p)
{
    const ocf_home *home = home_of(p);
    return home && home->folder != OCF_NO_FOLDER;
}

/* Where contents lie: a folder of ours, and a name in it. */
static int find_contents(ocf_placer *p, int *folder, char *name)
{
    ocf_source source;
    memcpy(&source, p->what->tree.source + p->index * sizeof source, sizeof source);
    if (source.layer >= p->what->layers)
        return failed(p, EINVAL);
    const ocf_contents *contents = &p->what->contents[source.layer];
    const ocf_home *home = home_of(p);
    *folder = contents->folder;
    ocf_number_name(source.row, name);
    if (!home)
        return OCF_OK;
    int error = ocf_home_open(&p->home, contents->folder, (uint32_t)(home - contents->home));
    if (error)
        return failed(p, error);
    *folder = p->home.fd;
    ocf_tar_row made = ocf_row_at(contents->rows, source.row);
    return ocf_own_name(contents->heap + made.path_offset, made.path_size, name) ? OCF_OK : failed(p, EINVAL);
}

static int place_file(ocf_placer *p, int folder, const char *name)
{
    char lies_as[NAME_MAX + 1];
    int lies_in;
    OCF_TRY(find_contents(p, &lies_in, lies_as));
    if (renameat2(lies_in, lies_as, folder, name, RENAME_NOREPLACE) == 0)
        return OCF_OK;
    if (!cannot_promise(errno))
        return failed(p, errno);
    /* a link replaces nothing either */
    if (linkat(lies_in, lies_as, folder, name, 0) || unlinkat(lies_in, lies_as, 0))
        return failed(p, errno);
    return OCF_OK;
}

static int place_symlink(ocf_placer *p, const ocf_tar_row *row, int folder, const char *name)
{
    char target[PATH_MAX];
    const uint8_t *text = p->what->tree.heap + row->link_offset;
    if (row->link_size >= sizeof target)
        return failed(p, ENAMETOOLONG);
    memcpy(target, text, row->link_size);
    target[row->link_size] = 0;
    if (symlinkat(target, folder, name))
        return failed(p, errno);
    ocf_made made = {-1, folder, name, 0777, 0};
    return set_metadata(p, &made, row);
}

/* A device that may not be made: an empty file, and what it is in the xattr of containers/storage. */
static int record_device(ocf_placer *p, const ocf_tar_row *row, int folder, const char *name)
{
    char text[96];
    int fd = openat(folder, name, EMPTY_FILE, 0600);
    if (fd < 0)
        return failed(p, errno);
    int size = snprintf(text, sizeof text, "%u:%u:%04o:%s-%u-%u", row->uid, row->gid, row->mode & 07777,
                        row->type == '3' ? "char" : "block", row->dev_major, row->dev_minor);
    fsetxattr(fd, "user.containers.override_stat", text, (size_t)size, 0); /* where it can be kept */
    ocf_made made = {fd, -1, NULL, 0600, 0};
    int status = set_metadata(p, &made, row);
    close(fd);
    p->recorded++;
    return status;
}

static int place_device(ocf_placer *p, const ocf_tar_row *row, int folder, const char *name)
{
    mode_t kind = row->type == '3' ? S_IFCHR : row->type == '4' ? S_IFBLK : S_IFIFO;
    if (row->type != '6' && p->what->devices != OCF_DEVICES_CREATE)
        return p->what->devices == OCF_DEVICES_DENY ? failed(p, OCF_PLACE_DEVICE)
                                                    : record_device(p, row, folder, name);
    mode_t mode = row->mode & 0777;
    if (mknodat(folder, name, kind | mode, makedev(row->dev_major, row->dev_minor)))
        return failed(p, errno);
    ocf_made made = {-1, folder, name, mode, 0};
    return set_metadata(p, &made, row);
}

static int place_one(ocf_placer *p, const ocf_tar_row *row)
{
    char name[NAME_MAX + 1];
    int folder;
    OCF_TRY(locate(p, &p->parents, row, name, &folder));
    if (is_marked(p, OCF_MARK_HELD))
        return place_file(p, folder, name);
    switch (row->type) {
    case '0': return place_file(p, folder, name);
    case '2': return place_symlink(p, row, folder, name);
    default: return place_device(p, row, folder, name);
    }
}

int ocf_place_rest(ocf_placer *p, size_t first, size_t last)
{
    for (p->index = first; p->index < last; p->index++) {
        ocf_tar_row row = ocf_row_at(p->what->tree.rows, p->index);
        if (row.type == '5' || row.type == '1' || is_marked(p, OCF_MARK_THERE | OCF_MARK_HIDES))
            continue;
        if (row.type != '0' || !is_placed(p))
            OCF_TRY(place_one(p, &row));
    }
    return OCF_OK;
}

static int place_link(ocf_placer *p, const ocf_tar_row *row)
{
    char name[NAME_MAX + 1], to[NAME_MAX + 1];
    ocf_tar_row target = {.type = '0', .path_offset = row->link_offset, .path_size = row->link_size};
    int folder, from, status;
    OCF_TRY(locate(p, &p->parents, row, name, &folder));
    status = locate(p, &p->targets, &target, to, &from);
    if (status == OCF_REFUSED)
        return failed(p, OCF_PLACE_LINK);
    OCF_TRY(status);
    if (linkat(from, to, folder, name, 0) == 0)
        return OCF_OK;
    return failed(p, errno == ENOENT || errno == EPERM ? OCF_PLACE_LINK : errno);
}

static int make_opaque(ocf_placer *p, int folder, const char *name)
{
    int fd = openat(folder, name, FOLDER_FLAGS);
    if (fd < 0)
        return errno == ENOTDIR || errno == ELOOP ? OCF_OK : failed(p, errno);
    int status = fsetxattr(fd, p->what->opaque, "y", 1, 0) ? failed(p, errno) : OCF_OK;
    close(fd);
    return status;
}

/* A whiteout as overlayfs has it. When the layer also has what it names, that hides what is below by
 * itself, and a folder does if it is opaque. */
static int place_whiteout(ocf_placer *p, const ocf_tar_row *row)
{
    char name[NAME_MAX + 1];
    int folder;
    OCF_TRY(locate(p, &p->parents, row, name, &folder));
    if (strncmp(name, ".wh.", 4) != 0)
        return failed(p, EINVAL);
    if (mknodat(folder, name + 4, S_IFCHR, makedev(0, 0)) == 0)
        return OCF_OK;
    return errno == EEXIST ? make_opaque(p, folder, name + 4) : failed(p, errno);
}

int ocf_place_links(ocf_placer *p)
{
    for (p->index = 0; p->index < p->what->tree.count; p->index++) {
        ocf_tar_row row = ocf_row_at(p->what->tree.rows, p->index);
        if (is_marked(p, OCF_MARK_HIDES))
            OCF_TRY(place_whiteout(p, &row));
        else if (row.type == '1' && !is_there(p))
            OCF_TRY(place_link(p, &row));
    }
    return OCF_OK;
}

int ocf_place_holds(ocf_placer *p, const uint8_t *which, size_t count, int into)
{
    for (size_t i = 0; i < count; i++) {
        char name[NAME_MAX + 1], number[OCF_NUMBER_NAME];
        uint32_t index;
        int folder;
        memcpy(&index, which + i * sizeof index, sizeof index);
        p->index = index;
        ocf_tar_row row = ocf_row_at(p->what->tree.rows, index);
        OCF_TRY(locate(p, &p->parents, &row, name, &folder));
        ocf_number_name(index, number);
        if (linkat(folder, name, into, number, 0))
            return failed(p, errno);
    }
    return OCF_OK;
}

int ocf_place_removals(ocf_placer *p, const uint8_t *which, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        char name[NAME_MAX + 1];
        uint32_t index;
        int folder;
        memcpy(&index, which + i * sizeof index, sizeof index);
        p->index = index;
        ocf_tar_row row = ocf_row_at(p->what->tree.rows, index);
        OCF_TRY(locate(p, &p->parents, &row, name, &folder));
        if (unlinkat(folder, name, row.type == '5' ? AT_REMOVEDIR : 0))
            return failed(p, errno);
    }
    return OCF_OK;
}
