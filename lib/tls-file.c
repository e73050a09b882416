/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "tls.h"

/* Bundles of all the world's CAs are a third of it. */
#define FILE_MAXIMUM (1024 * 1024)

static int read_all(int fd, unsigned char *to, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = read(fd, to + done, size - done);

		if (got < 0 && errno != EINTR)
			return -errno;
		/* It was cut meanwhile. */
		if (!got)
			return -EIO;
		if (got > 0)
			done += (size_t)got;
	}
	to[size] = '\0';
	return 0;
}

int tls_file_read(const char *path, gnutls_datum_t *file, struct nbdt_error *err)
{
	/* Without waiting for whoever might write into a pipe. */
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;

	if (fd < 0 || fstat(fd, &status))
		return nbdt_error_errno(err, -errno, "cannot read %.300s", path);
	if (!S_ISREG(status.st_mode) || status.st_size > FILE_MAXIMUM)
		return nbdt_error_set(err, -EINVAL, "%.300s is no file of at most %d bytes", path,
			FILE_MAXIMUM);
	file->size = (unsigned int)status.st_size;
	file->data = calloc(1, (size_t)file->size + 1);
	int result = file->data ? read_all(fd, file->data, file->size) : -ENOMEM;
	if (!result)
		return 0;
	tls_file_free(file);
	return nbdt_error_errno(err, result, "cannot read %.300s", path);
}

void tls_file_free(gnutls_datum_t *file)
{
	if (!file->data)
		return;
	explicit_bzero(file->data, file->size);
	free(file->data);
	file->data = NULL;
	file->size = 0;
}
