/* A tree away, whatever is in it, and nothing that is not. No Python.
 *
 * Everything is reached by descriptor, links are removed and never followed, folders of another
 * device are not entered: what is mounted stays, and is an error (EXDEV). Nothing recurses, and trees
 * of any depth need few descriptors.
 */
#ifndef OCF_TREE_REMOVE_H
#define OCF_TREE_REMOVE_H

/* Remove `name` in an open folder; 0, or an errno. */
int ocf_tree_remove(int folder, const char *name);

#endif
