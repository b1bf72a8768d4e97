/* What a tree has under a name, opened with the tree's root as "/". No Python.
 *
 * Links of the tree are followed and lead where they would if there were nothing but the tree:
 * openat2(2) with RESOLVE_IN_ROOT. Links of procfs that lead elsewhere are refused. A file is looked
 * at before it is opened, as opening a device, or a pipe, may be enough to set something going (P19).
 * There is no way around a kernel without openat2: looking at each component is open to races.
 *
 * Returns 0 and a descriptor, or an errno, or a reason of here.
 */
#ifndef OCF_TREE_OPEN_H
#define OCF_TREE_OPEN_H

enum { OCF_OPEN_FILE, OCF_OPEN_FOLDER }; /* to be read; to look things up in (O_PATH) */

enum { /* reasons that are no errno */
    OCF_OPEN_KIND = -301, /* there is something that is no regular file */
    OCF_OPEN_NONE = -302  /* openat2 is not there, or seccomp refuses it */
};

int ocf_open_in_root(int root, const char *path, int what, int *fd);

#endif
