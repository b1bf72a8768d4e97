/* Parts of files on their way to disk. */
#include "tar_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tar_internal.h"

enum { NEW_FILE = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC };

static int failed(ocf_files_writer *w, int error)
{
    w->error = error;
    return OCF_REFUSED;
}

void ocf_files_writer_init(ocf_files_writer *w)
{
    memset(w, 0, sizeof *w);
    w->file = w->home.fd = -1;
}

void ocf_files_writer_close(ocf_files_writer *w)
{
    ocf_home_close(&w->home);
    if (w->file >= 0)
        close(w->file);
    w->file = -1;
}

void ocf_files_writer_free(ocf_files_writer *w)
{
    ocf_files_writer_close(w);
    free(w->homes.data);
    memset(&w->homes, 0, sizeof w->homes);
}

/* What follows gives 0 or an errno. */

static int create(ocf_files_writer *w, int folder, const char *name, const ocf_file_part *part)
{
    w->file = openat(folder, name, NEW_FILE, part->row.mode & 0777);
    return w->file < 0 ? errno : 0;
}

static int make_home(int folder, uint32_t home)
{
    char name[OCF_NUMBER_NAME];
    ocf_home_name(home, name);
    return mkdirat(folder, name, 0700) ? errno : 0;
}

static int create_at_home(ocf_files_writer *w, const ocf_file_part *part, const uint8_t *path)
{
    char name[NAME_MAX + 1];
    int error = part->flags & OCF_PART_HOME ? make_home(w->folder, part->home) : 0;
    if (!error)
        error = ocf_home_open(&w->home, w->folder, part->home);
    if (!error && !ocf_own_name(path, part->row.path_size, name))
        error = EINVAL;
    return error ? error : create(w, w->home.fd, name, part);
}

/* Errors that another name helps against: two entries of one path, names a file system does not have,
 * more folders in one than it can hold. */
static int is_of_name(int error)
{
    return error == EEXIST || error == EISDIR || error == ENAMETOOLONG || error == EILSEQ || error == EINVAL
        || error == EMLINK || error == ENOENT;
}

static int begin(ocf_files_writer *w, const ocf_file_part *part, const uint8_t *path)
{
    char number[OCF_NUMBER_NAME];
    uint32_t home = part->home;
    int error = home == OCF_NO_HOME ? 0 : create_at_home(w, part, path);
    if (home == OCF_NO_HOME || is_of_name(error)) {
        home = OCF_NO_HOME;
        ocf_number_name(part->number, number);
        error = create(w, w->folder, number, part);
    }
    return error ? failed(w, error) : ocf_homes_put(&w->homes, part->number, home);
}

static int write_all(ocf_files_writer *w, const uint8_t *data, uint64_t size, uint64_t place)
{
    while (size) {
        ssize_t count = pwrite(w->file, data, size, (off_t)place);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return failed(w, errno);
        data += count;
        place += (uint64_t)count;
        size -= (uint64_t)count;
        w->written += (uint64_t)count;
    }
    return OCF_OK;
}

static int end(ocf_files_writer *w, const ocf_file_part *part, const uint8_t *xattrs)
{
    ocf_made made = {w->file, -1, NULL, part->row.mode & 0777, 1};
    if (part->row.flags & OCF_FLAG_SPARSE && ftruncate(w->file, (off_t)part->row.size))
        return failed(w, errno);
    w->meta->number = part->number;
    if (ocf_meta_set(w->meta, &made, &part->row, xattrs) != OCF_OK)
        return failed(w, w->meta->error);
    int file = w->file;
    w->file = -1;
    return close(file) ? failed(w, errno) : OCF_OK;
}

/* Of path and xattrs, behind a part. */
static size_t texts_size(const ocf_file_part *part)
{
    return (part->flags & OCF_PART_BEGIN ? part->row.path_size : 0)
        + (part->flags & OCF_PART_END ? (size_t)part->row.xattr_size : 0);
}

int ocf_files_write(ocf_files_writer *w, const uint8_t *parts, size_t parts_size, const uint8_t *piece,
                    size_t piece_size)
{
    ocf_file_part part;
    for (size_t at = 0; at < parts_size;) {
        if (parts_size - at < sizeof part)
            return failed(w, EINVAL);
        memcpy(&part, parts + at, sizeof part);
        at += sizeof part;
        w->number = part.number;
        if (part.at > piece_size || part.size > piece_size - part.at || parts_size - at < texts_size(&part))
            return failed(w, EINVAL);
        if (part.flags & OCF_PART_BEGIN) {
            OCF_TRY(begin(w, &part, parts + at));
            at += part.row.path_size;
        }
        OCF_TRY(write_all(w, piece + part.at, part.size, part.place));
        if (part.flags & OCF_PART_END) {
            OCF_TRY(end(w, &part, parts + at));
            at += part.row.xattr_size;
        }
    }
    return OCF_OK;
}
