/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of entries: an /etc of their own, and samples of what is in its files. */
#ifndef NBDT_ENTRY_FIXTURE_H
#define NBDT_ENTRY_FIXTURE_H

#include <stddef.h>

#include "nbdtools.h"

/* The folder that stands for /etc, with "nbd" in it, and for NBDT_RUN_DIR, with "hotplug". */
extern char *entry_folder;

int entry_set_up(void **state);
int entry_tear_down(void **state);

/* The path of a file in the folder. */
void entry_path(char path[256], const char *name);
void entry_write_bytes(const char *name, const char *bytes, size_t length);
void entry_write(const char *name, const char *text);

/* The text of a file with one entry, and what it should mean. */
struct entry_sample {
	const char *text;
	const char *name;
	const char *sources; /* with a blank between two */
	const char *options;
	enum nbdt_auto auto_attach;
	const char *error; /* in the text of the error; NULL: it is accepted */
};

/* Writes each sample to FILE, and reads it. */
void entry_check_samples(const char *file, const struct entry_sample *samples, size_t count);

#define ENTRY_TEST(name) cmocka_unit_test_setup_teardown(name, entry_set_up, entry_tear_down)

#endif
