cdef extern from "tree_open.h" nogil:
    enum:
        OCF_OPEN_FILE
        OCF_OPEN_FOLDER
        OCF_OPEN_KIND
        OCF_OPEN_NONE
    int ocf_open_in_root(int root, const char *path, int what, int *fd)
