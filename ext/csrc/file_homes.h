/* Where contents of files lie until there is a tree for them: in homes, a private folder for each folder
 * of a layer, so that one whose files all stay can become the tree's folder by one rename. No Python.
 *
 * Homes are numbered as they come up, "h0" is the first. In one a file has the last name of its path,
 * made where nothing is before and never through a link. What cannot be called so, or is of the root,
 * which is there already, has no home, and is called by the number of its row: "a" is row 10's.
 */
#ifndef OCF_FILE_HOMES_H
#define OCF_FILE_HOMES_H

#include "tar.h"
#include "tree_parents.h"

#define OCF_NO_HOME UINT32_MAX
enum { OCF_NUMBER_NAME = 18 };

/* Names of what lies by number: OCF_NUMBER_NAME bytes. */
void ocf_number_name(uint64_t number, char *name);
void ocf_home_name(uint32_t home, char *name);
/* The last name of a row's path, NAME_MAX + 1 bytes; 0 if no file can be called so. */
int ocf_own_name(const uint8_t *path, size_t size, char *name);

typedef struct { uint64_t hash; uint32_t home, is_known; } ocf_known_home;
typedef struct { /* which folder has which home: as many as were seen last */
    ocf_known_home *known;
    uint32_t count; /* of homes */
    uint64_t files;
} ocf_home_finder;

void ocf_home_finder_free(ocf_home_finder *f);
/* The home for a file in a folder, new if it is .count - 1 for the first time, or OCF_NO_HOME. Two
 * folders have the same when their hashes collide, which costs time and nothing else. OCF_OK or
 * OCF_NO_MEMORY. */
int ocf_home_find(ocf_home_finder *f, const uint8_t *folder, size_t size, uint32_t *home);

typedef struct { int contents, fd; uint32_t home; } ocf_open_home; /* the one used last; fd -1: none */

/* Open a home in a folder of contents, unless it is. Gives 0 or an errno. */
int ocf_home_open(ocf_open_home *o, int contents, uint32_t home);
void ocf_home_close(ocf_open_home *o);

/* `homes` has a u32 for each row up to the last file: where that lies. */
int ocf_homes_put(ocf_bytes *homes, uint64_t row, uint32_t home);
uint32_t ocf_homes_get(const uint8_t *homes, size_t count, uint64_t row);

#endif
