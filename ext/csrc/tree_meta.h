/* Owner, xattrs, mode and times of what was made, in the order in which none takes another away.
 * No Python.
 *
 * chown(2) clears set-uid bits and capabilities, so it comes first; security.capability is set when
 * nothing is left that would clear it, times when nothing is left that would change them (P25). Links
 * are never followed: a thing is named by a descriptor, or by its folder's descriptor and its name.
 *
 * An ocf_meta is one thread's: it counts what could not be kept. Id ranges are borrowed. Functions
 * return OCF_OK, or OCF_REFUSED with .error (an errno or a reason) and .actual where it has a number.
 */
#ifndef OCF_TREE_META_H
#define OCF_TREE_META_H

#include "tar.h"

enum { OCF_META_UNMAPPED = -101 }; /* .actual is an id that no range holds */

enum { /* .flags */
    OCF_META_ROOTLESS = 1, /* owners are not set, but recorded in an xattr */
    OCF_META_OVERLAY = 2   /* xattrs that mean something to overlayfs are escaped (P24) */
};

enum { /* what could not be kept */
    OCF_LOST_UNSUPPORTED, /* xattrs: the file system has none of this kind */
    OCF_LOST_DENIED,      /* xattrs that only a privileged process may set */
    OCF_LOST_LABEL,       /* labels of another host */
    OCF_LOST_OWNER,       /* an owner that could not even be recorded */
    OCF_LOST_KINDS
};

typedef struct { uint32_t container, host, size; } ocf_id_range;

typedef struct {
    const ocf_id_range *uids, *gids; /* without any, ids are taken as they are */
    size_t uid_count, gid_count;
    uint32_t flags, umask, own_uid, own_gid; /* own: what a new file has by itself */
    uint64_t lost[OCF_LOST_KINDS], first[OCF_LOST_KINDS]; /* how many, and the number of the first */
    uint64_t number; /* of what is being worked on: the caller's */
    int error;
    uint64_t actual;
} ocf_meta;

enum { OCF_MODE_UNKNOWN = 010000 }; /* no mode: it is set in any case */

typedef struct { /* descriptor >= 0, or a name in a folder */
    int descriptor, folder;
    const char *name;
    uint32_t mode;   /* permissions it was made with, before umask */
    int has_own_ids; /* it is known to be owned as new files are */
} ocf_made;

int ocf_meta_set(ocf_meta *m, const ocf_made *made, const ocf_tar_row *row, const uint8_t *xattrs);

#endif
