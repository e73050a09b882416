/* SPDX-License-Identifier: Apache-2.0 */
/* What a person may write for a device, as a number. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "device-internal.h"
#include "sysfs.h"

#define NAME_PREFIX "nbd"
#define NODE_FOLDER "/dev/"

static int parse_number(const char *text)
{
	uint64_t number;

	if (sysfs_parse_u64(text, &number) || number > INT_MAX)
		return -EINVAL;
	return (int)number;
}

int device_parse_name(const char *name)
{
	if (strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX)) != 0)
		return -EINVAL;
	return parse_number(name + strlen(NAME_PREFIX));
}

int device_find_number(const char *number_root, unsigned int major, unsigned int minor)
{
	char path[PATH_MAX], target[PATH_MAX];

	/* …/block/nbd0 for a disk, …/block/nbd0/nbd0p1 for a partition, whose name is refused. */
	snprintf(path, sizeof(path), "%s/%u:%u", number_root, major, minor);
	ssize_t length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return -EINVAL;
	target[length] = '\0';
	const char *slash = strrchr(target, '/');
	return device_parse_name(slash ? slash + 1 : target);
}

/* A path to a node by any name, such as a symbolic link made by udev. */
static int parse_path(const char *path)
{
	struct stat status;

	if (stat(path, &status) || !S_ISBLK(status.st_mode))
		return -EINVAL;
	return device_find_number(
		DEVICE_NUMBER_ROOT, major(status.st_rdev), minor(status.st_rdev));
}

int nbdt_device_parse(const char *text, bool bare)
{
	if (bare) {
		int number = parse_number(text);
		if (number >= 0)
			return number;
	}
	const char *name = text;
	if (!strncmp(name, NODE_FOLDER, strlen(NODE_FOLDER)))
		name += strlen(NODE_FOLDER);
	/* By name alone the device need not exist: it may be one that the kernel is to make. */
	int index = device_parse_name(name);
	if (index < 0 && strchr(text, '/'))
		index = parse_path(text);
	return index;
}
