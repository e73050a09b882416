/* SPDX-License-Identifier: Apache-2.0 */
/* A private folder that a test fills with what sysfs, or NBDT_RUN_DIR, would hold. */
#ifndef FAKE_SYSFS_H
#define FAKE_SYSFS_H

/* Makes a new folder under /tmp; the path is for fake_remove(). */
char *fake_root(void);
/* Writes a file of ROOT, making the folders on the way. */
void fake_file(const char *root, const char *path, const char *text);
void fake_folder(const char *root, const char *path);
void fake_link(const char *root, const char *path, const char *target);
/* Reads a file of ROOT, for free(). */
char *fake_read(const char *root, const char *path);
/* Removes the folder with all that is in it, and frees the path. */
void fake_remove(char *root);

#endif
