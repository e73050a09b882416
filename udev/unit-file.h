/* SPDX-License-Identifier: Apache-2.0 */
/* Units and their names, as a generator writes them (systemd.generator(7)). */
#ifndef NBDT_UNIT_FILE_H
#define NBDT_UNIT_FILE_H

#include "nbdtools.h"

#define UNIT_NAME_SIZE 256 /* bytes, with the NUL: systemd takes no longer ones */

/*
 * The unit of TEMPLATE ("nbd-connect@.service") for INSTANCE, escaped by systemd-escape.
 * Errors: -ENOENT there is no systemd-escape; -EINVAL its answer is no name.
 */
int unit_name(const char *template, const char *instance, char name[UNIT_NAME_SIZE],
	struct nbdt_error *err);

/*
 * TEXT as one word of a setting that takes several and knows specifiers, in double quotes; for
 * free(). NULL: it has control characters, which no setting can hold, or there is no memory.
 */
char *unit_quote(const char *text);

/* Writes FOLDER/NAME, or FOLDER/NAME.d/FILE; it must not exist yet. */
int unit_write(const char *folder, const char *name, const char *text, struct nbdt_error *err);
int unit_write_drop_in(const char *folder, const char *name, const char *file, const char *text,
	struct nbdt_error *err);

/* Has TARGET want NAME, whose file or template is PATH. */
int unit_want(const char *folder, const char *target, const char *name, const char *path,
	struct nbdt_error *err);

#endif
