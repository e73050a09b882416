/* SPDX-License-Identifier: Apache-2.0 */
#include "pid-file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int pid_file_write(const char *name, char **path, struct nbdt_error *err)
{
	FILE *file = fopen(name, "we");
	bool failed = !file || fprintf(file, "%d\n", getpid()) < 0;

	if (file && fclose(file))
		failed = true;
	if (failed)
		return nbdt_error_errno(err, -errno, "%s", name);
	*path = realpath(name, NULL);
	return 0;
}

static bool is_ours(const char *path)
{
	char text[32] = "";
	FILE *file = fopen(path, "re");

	if (!file)
		return false;
	bool ours = fgets(text, sizeof(text), file) && strtol(text, NULL, 10) == getpid();
	fclose(file);
	return ours;
}

void pid_file_remove(char *path)
{
	if (path && is_ours(path) && unlink(path))
		say_warning("%s: %m", path);
	free(path);
}
