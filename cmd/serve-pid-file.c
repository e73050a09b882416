/* SPDX-License-Identifier: Apache-2.0 */
/* The file with nbd-serve's process id. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "nbd-serve.h"

enum command_status pid_file_write(const char *name, char **path)
{
	FILE *file = fopen(name, "we");
	bool failed = !file || fprintf(file, "%d\n", getpid()) < 0;

	if (file && fclose(file))
		failed = true;
	if (failed) {
		struct nbdt_error err;

		nbdt_error_errno(&err, -errno, "%s", name);
		return report(NULL, &err);
	}
	*path = realpath(name, NULL);
	return STATUS_DONE;
}

/* Another server may have written its own meanwhile. */
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
