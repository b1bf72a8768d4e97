/* Names of homes and of what is in them, and which home a folder has. */
#include "file_homes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "name_hash.h"
#include "tar_internal.h"

enum { FOLDER_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };
enum { KNOWN = 1 << 14, PROBES = 8 }; /* of 16 bytes; archives in no order have all folders at once */
enum { FILES_A_HOME = 4 }; /* at least, on average, where folders come back after they were forgotten */

void ocf_number_name(uint64_t number, char *name)
{
    size_t digits = 1;
    while (digits < 16 && number >> (4 * digits))
        digits++;
    for (size_t i = 0; i < digits; i++)
        name[i] = "0123456789abcdef"[number >> 4 * (digits - 1 - i) & 15];
    name[digits] = 0;
}

void ocf_home_name(uint32_t home, char *name)
{
    name[0] = 'h'; /* no digit, so no number begins with it */
    ocf_number_name(home, name + 1);
}

int ocf_own_name(const uint8_t *path, size_t size, char *name)
{
    size_t base = ocf_path_base(path, size);
    return ocf_path_component(path + base, size - base, name);
}

/* ---- which home ---- */

void ocf_home_finder_free(ocf_home_finder *f)
{
    free(f->known);
    memset(f, 0, sizeof *f);
}

/* "/a", "./a" and "a" are one. */
static void skip_root(const uint8_t **path, size_t *size)
{
    while (*size && (**path == '/' || (*size > 1 && (*path)[0] == '.' && (*path)[1] == '/'))) {
        (*path)++;
        (*size)--;
    }
}

int ocf_home_find(ocf_home_finder *f, const uint8_t *folder, size_t size, uint32_t *home)
{
    if (!f->known && !(f->known = calloc(KNOWN, sizeof *f->known)))
        return OCF_NO_MEMORY;
    skip_root(&folder, &size);
    *home = OCF_NO_HOME;
    f->files++;
    if (!size)
        return OCF_OK;
    uint64_t hash = ocf_hash_name(0, folder, size);
    ocf_known_home *known = f->known;
    for (size_t i = 0; i < PROBES; i++) {
        known = &f->known[(hash + i) % KNOWN];
        if (!known->is_known || known->hash == hash)
            break;
    }
    if (known->is_known && known->hash != hash) { /* all are others', and the last one gives way */
        if (f->count > KNOWN + f->files / FILES_A_HOME)
            return OCF_OK;
        known->is_known = 0;
    }
    if (!known->is_known)
        *known = (ocf_known_home){hash, f->count++, 1};
    *home = known->home;
    return OCF_OK;
}

/* ---- homes that are there ---- */

int ocf_home_open(ocf_open_home *o, int contents, uint32_t home)
{
    char name[OCF_NUMBER_NAME];
    if (o->fd >= 0 && o->contents == contents && o->home == home)
        return 0;
    ocf_home_close(o);
    ocf_home_name(home, name);
    o->fd = openat(contents, name, FOLDER_FLAGS);
    o->contents = contents;
    o->home = home;
    return o->fd < 0 ? errno : 0;
}

void ocf_home_close(ocf_open_home *o)
{
    if (o->fd >= 0)
        close(o->fd);
    o->fd = -1;
}

int ocf_homes_put(ocf_bytes *homes, uint64_t row, uint32_t home)
{
    uint32_t none = OCF_NO_HOME;
    while (homes->size / sizeof none < row)
        OCF_TRY(ocf_bytes_append(homes, &none, sizeof none));
    return ocf_bytes_append(homes, &home, sizeof home);
}

uint32_t ocf_homes_get(const uint8_t *homes, size_t count, uint64_t row)
{
    uint32_t home = OCF_NO_HOME;
    if (row < count)
        memcpy(&home, homes + row * sizeof home, sizeof home);
    return home;
}
