/* Folders, made first, and their metadata, set last. */
#include "tree_place_internal.h"

#include <limits.h>
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

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

int ocf_place_row_metadata(ocf_meta *meta, int descriptor, const uint8_t *rows, size_t index, const uint8_t *heap)
{
    ocf_tar_row row = ocf_row_at(rows, index);
    ocf_made made = {descriptor, -1, NULL, OCF_MODE_UNKNOWN, 0};
    return ocf_meta_set(meta, &made, &row, heap + row.xattr_offset);
}
