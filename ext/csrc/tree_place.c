/* Folders, names in them, links, and the metadata of folders. */
#include "tree_place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tar_internal.h"

enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK };
enum { EMPTY_FILE = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC };

static int failed(ocf_placer *p, int error)
{
    p->error = error;
    return OCF_REFUSED;
}

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

static int locate(ocf_placer *p, ocf_parents *parents, const ocf_tar_row *row, char *name, int *folder)
{
    int status = ocf_parents_locate(parents, p->what->tree.heap, row, name, folder);
    return status == OCF_REFUSED ? failed(p, parents->error) : status;
}

static int set_metadata(ocf_placer *p, const ocf_made *made, const ocf_tar_row *row)
{
    p->meta->number = p->index;
    int status = ocf_meta_set(p->meta, made, row, p->what->tree.heap + row->xattr_offset);
    return status == OCF_REFUSED ? failed(p, p->meta->error) : status;
}

static int is_marked(const ocf_placer *p, int marks)
{
    return p->what->tree.marks && p->what->tree.marks[p->index] & marks;
}

static int is_there(const ocf_placer *p)
{
    return is_marked(p, OCF_MARK_THERE);
}

/* ---- folders ---- */

/* Whether a file system cannot promise in one step that a rename replaces nothing. */
static int cannot_promise(int error)
{
    return error == EINVAL || error == ENOSYS;
}

/* A home becomes the folder, if one is to; *moved says so. */
static int move_home(ocf_placer *p, int folder, const char *name, int *moved)
{
    char home[OCF_NUMBER_NAME];
    const ocf_made_folder *f = &p->what->folders[p->index];
    *moved = 0;
    if (f->home == OCF_NO_HOME)
        return OCF_OK;
    ocf_contents *contents = &p->what->contents[f->layer];
    ocf_home_name(f->home, home);
    *moved = renameat2(contents->folder, home, folder, name, RENAME_NOREPLACE) == 0;
    if (!*moved && !cannot_promise(errno))
        return failed(p, errno);
    if (!*moved)
        contents->home[f->home].folder = OCF_NO_FOLDER;
    return OCF_OK;
}

static int make_folder(ocf_placer *p, const ocf_tar_row *row)
{
    char name[NAME_MAX + 1];
    struct stat s;
    int folder, moved;
    OCF_TRY(locate(p, &p->parents, row, name, &folder));
    OCF_TRY(move_home(p, folder, name, &moved));
    if (!moved && mkdirat(folder, name, 0700) && !(errno == EEXIST && is_marked(p, OCF_MARK_THERE | OCF_MARK_STAYS)))
        return failed(p, errno);
    if (fstatat(folder, name, &s, AT_SYMLINK_NOFOLLOW))
        return failed(p, errno);
    if (!S_ISDIR(s.st_mode))
        return failed(p, ENOTDIR);
    p->what->folders[p->index].dev = s.st_dev;
    p->what->folders[p->index].ino = s.st_ino;
    return OCF_OK;
}

int ocf_place_folders(ocf_placer *p)
{
    for (p->index = 0; p->index < p->what->tree.count; p->index++) {
        ocf_tar_row row = ocf_row_at(p->what->tree.rows, p->index);
        if (row.type == '5' && !is_marked(p, OCF_MARK_NOT))
            OCF_TRY(make_folder(p, &row));
    }
    return OCF_OK;
}

static int open_folder(ocf_placer *p, const ocf_tar_row *row, int *fd)
{
    char name[NAME_MAX + 1];
    struct stat s;
    int folder;
    OCF_TRY(locate(p, &p->parents, row, name, &folder));
    *fd = openat(folder, name, FOLDER_FLAGS);
    if (*fd < 0)
        return failed(p, errno);
    const ocf_made_folder *made = &p->what->folders[p->index];
    if (fstat(*fd, &s) == 0 && s.st_dev == made->dev && s.st_ino == made->ino)
        return OCF_OK;
    close(*fd);
    return failed(p, OCF_PLACE_CHANGED);
}

/* Of a folder that stays, and is another one to its layer: what it had of xattrs is not its own. */
static int drop_xattrs(ocf_placer *p, int fd)
{
    char names[XATTR_LIST_MAX];
    ssize_t size = flistxattr(fd, names, sizeof names);
    if (size < 0)
        return errno == ENOTSUP ? OCF_OK : failed(p, errno);
    for (const char *name = names; name < names + size; name += strlen(name) + 1)
        if (strncmp(name, "security.selinux", 16) != 0 && fremovexattr(fd, name) && errno != ENODATA)
            return failed(p, errno);
    return OCF_OK;
}

/* Of a folder that was made in one that has a default ACL. */
static int drop_acls(ocf_placer *p, int fd)
{
    static const char *const acls[] = {"system.posix_acl_access", "system.posix_acl_default"};
    if (p->what->folders[p->index].home != OCF_NO_HOME)
        return OCF_OK;
    for (size_t i = 0; i < 2; i++)
        if (fremovexattr(fd, acls[i]) && errno != ENODATA && errno != ENOTSUP)
            return failed(p, errno);
    return OCF_OK;
}

static int finish_folder(ocf_placer *p, const ocf_tar_row *row)
{
    int fd, opaque = is_marked(p, OCF_MARK_OPAQUE);
    OCF_TRY(open_folder(p, row, &fd));
    /* a home was made with another process's umask, and of what is there a set-gid bit is inherited */
    ocf_made made = {fd, -1, NULL, OCF_MODE_UNKNOWN, 0};
    int status = is_marked(p, OCF_MARK_STAYS) ? drop_xattrs(p, fd) : drop_acls(p, fd);
    if (status == OCF_OK && opaque && fsetxattr(fd, p->what->opaque, "y", 1, 0))
        status = failed(p, errno);
    if (status == OCF_OK)
        status = set_metadata(p, &made, row);
    close(fd);
    return status;
}

/* From the end: what is below a folder is done before it, so nothing changes its time any more. */
int ocf_place_metadata(ocf_placer *p)
{
    for (p->index = p->what->tree.count; p->index-- > 0;) {
        ocf_tar_row row = ocf_row_at(p->what->tree.rows, p->index);
        if (row.type == '5' && !is_marked(p, OCF_MARK_THERE | OCF_MARK_NOT))
            OCF_TRY(finish_folder(p, &row));
    }
    return OCF_OK;
}

/* ---- files, links, devices ---- */

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

int ocf_place_row_metadata(ocf_meta *meta, int descriptor, const uint8_t *rows, size_t index, const uint8_t *heap)
{
    ocf_tar_row row = ocf_row_at(rows, index);
    ocf_made made = {descriptor, -1, NULL, OCF_MODE_UNKNOWN, 0};
    return ocf_meta_set(meta, &made, &row, heap + row.xattr_offset);
}
