/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "sysfs.h"

int sysfs_read_text(int directory, const char *path, char *text, size_t size)
{
	size_t length = 0;
	ssize_t got;

	CLEANUP_CLOSE int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		got = read(fd, text + length, size - length);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0)
			length += (size_t)got;
	} while (got && length < size);
	if (length == size)
		return -EOVERFLOW;
	text[length] = '\0';
	if (length && text[length - 1] == '\n')
		text[length - 1] = '\0';
	return 0;
}

int sysfs_parse_u64(const char *text, uint64_t *value)
{
	uint64_t number = 0;

	if (!*text || (text[0] == '0' && text[1]))
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(number, 10, &number) ||
			__builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
			return -ERANGE;
	}
	*value = number;
	return 0;
}

int sysfs_read_u64(int directory, const char *path, uint64_t *value)
{
	char text[32] = "";

	int result = sysfs_read_text(directory, path, text, sizeof(text));
	return result ? result : sysfs_parse_u64(text, value);
}

int sysfs_read_dev(int directory, const char *path, unsigned int *major, unsigned int *minor)
{
	uint64_t numbers[2];
	char text[32] = "";

	int result = sysfs_read_text(directory, path, text, sizeof(text));
	if (result)
		return result;
	char *colon = strchr(text, ':');
	if (!colon)
		return -EINVAL;
	*colon = '\0';
	if (sysfs_parse_u64(text, &numbers[0]) || sysfs_parse_u64(colon + 1, &numbers[1]) ||
		numbers[0] > UINT32_MAX || numbers[1] > UINT32_MAX)
		return -EINVAL;
	*major = (unsigned int)numbers[0];
	*minor = (unsigned int)numbers[1];
	return 0;
}

int sysfs_write_text(int directory, const char *path, const char *text)
{
	CLEANUP_CLOSE int fd = openat(directory, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* sysfs takes an attribute in one write or not at all. */
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int sysfs_write_u64(int directory, const char *path, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return sysfs_write_text(directory, path, text);
}
