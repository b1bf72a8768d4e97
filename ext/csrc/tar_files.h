/* Contents of a tar's regular files to disk, while the tar streams by. No Python.
 *
 * It is two halves, so that they can be two threads. ocf_files_cut says, of a piece that a parser was
 * fed just before, which bytes belong to which file: parts, one behind the other, complete in
 * themselves. ocf_files_write brings the parts of a piece to disk, in the order of pieces, into homes
 * (file_homes.h) in the folder it is given. Of the tar's paths the last names play a part and nothing
 * else. A file is complete, metadata included, with its END; holes of sparse ones stay holes.
 *
 * Folder and meta are borrowed. Return codes: OCF_OK, OCF_NO_MEMORY, OCF_REFUSED: of the cut, when a
 * file began before the piece; of the write with .error (an errno or a reason of tree_meta.h) and
 * .number. After a failure only the free functions may be called.
 */
#ifndef OCF_TAR_FILES_H
#define OCF_TAR_FILES_H

#include "file_homes.h"
#include "tree_meta.h"

enum { OCF_PART_BEGIN = 1, OCF_PART_END = 2, OCF_PART_HOME = 4 /* the first file of its home */ };

typedef struct {
    uint64_t number;     /* of the row */
    uint64_t place;      /* of these bytes in the file */
    uint64_t at, size;   /* of them in the piece */
    uint32_t flags, home;
    ocf_tar_row row;     /* its path follows a part that is a BEGIN, its xattrs one that is an END */
} ocf_file_part;

typedef struct {
    size_t next; /* the first row that is not done */
    int is_open;
    uint64_t taken, filled; /* of it: bytes of payload, of a sparse file its place */
    uint32_t region;
    ocf_home_finder finder;
    ocf_bytes parts;
} ocf_files_cutter;

void ocf_files_cutter_free(ocf_files_cutter *c);
/* `base` is where the piece stands in the stream. .parts are those of this piece. */
int ocf_files_cut(ocf_files_cutter *c, size_t size, uint64_t base, const uint8_t *rows, size_t count,
                  const uint8_t *heap);

typedef struct {
    int folder, file; /* file: the one that is open, or -1 */
    ocf_open_home home;
    ocf_bytes homes;  /* of each row, as far as files were begun */
    ocf_meta *meta;
    uint64_t number, written;
    int error;
} ocf_files_writer;

void ocf_files_writer_init(ocf_files_writer *w);
void ocf_files_writer_close(ocf_files_writer *w); /* .homes stay */
void ocf_files_writer_free(ocf_files_writer *w);
int ocf_files_write(ocf_files_writer *w, const uint8_t *parts, size_t parts_size, const uint8_t *piece,
                    size_t piece_size);

#endif
