/* Keys that sort what is in a tree into groups: by its folder first, then by its own path. No Python.
 *
 * A key depends on a path and on nothing else, on any machine, for ever: layers are cut by them, and a
 * file is to be in the layer it was in. Rows and heap have passed ocf_tar_check_table.
 */
#ifndef OCF_PATH_KEY_H
#define OCF_PATH_KEY_H

#include "tar.h"

/* Of each row: 32 bits of the folder it is in, cut to `depth` components, then 32 of its path. */
void ocf_path_keys(const uint8_t *rows, size_t count, const uint8_t *heap, unsigned depth, uint64_t *keys);

#endif
