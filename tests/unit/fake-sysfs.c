/* SPDX-License-Identifier: Apache-2.0 */
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake-sysfs.h"

char *fake_root(void)
{
	char *root = strdup("/tmp/nbdt-test-XXXXXX");

	assert_non_null(root);
	assert_non_null(mkdtemp(root));
	return root;
}

static void make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
}

static void make_path(char *full, const char *root, const char *path)
{
	assert_true(snprintf(full, PATH_MAX, "%s/%s", root, path) < PATH_MAX);
	make_parents(full);
}

void fake_file(const char *root, const char *path, const char *text)
{
	char full[PATH_MAX];

	make_path(full, root, path);
	FILE *file = fopen(full, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

void fake_folder(const char *root, const char *path)
{
	char full[PATH_MAX];

	make_path(full, root, path);
	mkdir(full, 0755);
}

void fake_link(const char *root, const char *path, const char *target)
{
	char full[PATH_MAX];

	make_path(full, root, path);
	assert_int_equal(symlink(target, full), 0);
}

char *fake_read(const char *root, const char *path)
{
	char full[PATH_MAX];
	char *text = NULL;
	size_t size = 0;

	make_path(full, root, path);
	FILE *file = fopen(full, "re");
	assert_non_null(file);
	if (getdelim(&text, &size, '\0', file) < 0 && text)
		text[0] = '\0';
	fclose(file);
	return text;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *position)
{
	(void)status;
	(void)kind;
	(void)position;
	return remove(path);
}

void fake_remove(char *root)
{
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(root);
}
