/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "unit-file.h"

/* Two characters at most for each. */
char *unit_quote(const char *text)
{
	char *quoted = malloc(2 * strlen(text) + 3);
	char *to = quoted;

	if (!quoted)
		return NULL;
	*to++ = '"';
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f) {
			free(quoted);
			return NULL;
		}
		if (*text == '"' || *text == '\\')
			*to++ = '\\';
		if (*text == '%')
			*to++ = '%';
		*to++ = *text;
	}
	*to++ = '"';
	*to = '\0';
	return quoted;
}

int unit_write(const char *folder, const char *name, const char *text, struct nbdt_error *err)
{
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s/%s", folder, name) < 0) {
		path = NULL;
		return nbdt_error_errno(err, -ENOMEM, "%s", name);
	}
	CLEANUP_CLOSE int fd =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return nbdt_error_errno(err, -errno, "%s", path);
	size_t length = strlen(text);
	ssize_t written = write(fd, text, length);
	if (written < 0 || (size_t)written != length)
		return nbdt_error_errno(err, written < 0 ? -errno : -ENOSPC, "%s", path);
	return 0;
}

/* FOLDER/NAME.SUFFIX, made if it is not there, for free(). */
static int make_folder(const char *folder, const char *name, const char *suffix, char **path,
	struct nbdt_error *err)
{
	if (asprintf(path, "%s/%s.%s", folder, name, suffix) < 0) {
		*path = NULL;
		return nbdt_error_errno(err, -ENOMEM, "%s", name);
	}
	if (mkdir(*path, 0755) && errno != EEXIST)
		return nbdt_error_errno(err, -errno, "%s", *path);
	return 0;
}

int unit_write_drop_in(const char *folder, const char *name, const char *file, const char *text,
	struct nbdt_error *err)
{
	CLEANUP_FREE char *path = NULL;

	int result = make_folder(folder, name, "d", &path, err);
	return result ? result : unit_write(path, file, text, err);
}

int unit_want(const char *folder, const char *target, const char *name, const char *path,
	struct nbdt_error *err)
{
	CLEANUP_FREE char *wants = NULL;
	CLEANUP_FREE char *link = NULL;

	int result = make_folder(folder, target, "wants", &wants, err);
	if (result)
		return result;
	if (asprintf(&link, "%s/%s", wants, name) < 0) {
		link = NULL;
		return nbdt_error_errno(err, -ENOMEM, "%s", name);
	}
	if (symlink(path, link))
		return nbdt_error_errno(err, -errno, "%s", link);
	return 0;
}
