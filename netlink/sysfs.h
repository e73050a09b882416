/* SPDX-License-Identifier: Apache-2.0 */
/* Small attributes of sysfs and /proc, read and written in one go. */
#ifndef NBDT_SYSFS_H
#define NBDT_SYSFS_H

#include <stddef.h>
#include <stdint.h>

/* DIRECTORY is a descriptor or AT_FDCWD, PATH relative to it. All return 0 or a negative errno. */

/* Reads an attribute without its newline. -EOVERFLOW: it does not fit into SIZE with its NUL. */
int sysfs_read_text(int directory, const char *path, char *text, size_t size);

/* Reads a decimal number and nothing else; -EINVAL otherwise, -ERANGE over 64 bits. */
int sysfs_read_u64(int directory, const char *path, uint64_t *value);

/* Reads the MAJOR:MINOR of a "dev" attribute. */
int sysfs_read_dev(int directory, const char *path, unsigned int *major, unsigned int *minor);

int sysfs_write_text(int directory, const char *path, const char *text);
int sysfs_write_u64(int directory, const char *path, uint64_t value);

/* Decimal digits alone to a number: no sign, no space, no leading zero. -EINVAL, -ERANGE. */
int sysfs_parse_u64(const char *text, uint64_t *value);

#endif
