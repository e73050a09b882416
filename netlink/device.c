/* SPDX-License-Identifier: Apache-2.0 */
/* Devices as sysfs shows them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "device-internal.h"
#include "sysfs.h"

#define SECTOR_SIZE 512 /* the unit of "size", whatever the device's blocks are */

/* scandir()'s array of names. */
struct name_list {
	struct dirent **names;
	size_t count;
};

static void cleanup_names(struct name_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->names[i]);
	free(list->names);
}

#define CLEANUP_NAMES __attribute__((cleanup(cleanup_names)))

static int select_device(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && strlen(entry->d_name) < DEVICE_NAME_SIZE;
}

/* What may be devices in a folder, nbd2 before nbd10; negative errno. */
static int read_names(int folder, const char *path, struct name_list *list)
{
	int count = scandirat(folder, path, &list->names, select_device, versionsort);
	if (count < 0)
		return -errno;
	list->count = (size_t)count;
	return 0;
}

int device_open_folder(const char *block_root, int index)
{
	char path[PATH_MAX];

	if (index < 0)
		return -ENODEV;
	snprintf(path, sizeof(path), "%s/nbd%d", block_root, index);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	return fd;
}

/* An attribute that this kernel or this moment may not have counts as 0. */
static uint64_t read_number(int folder, const char *path, uint64_t limit)
{
	uint64_t value;

	if (sysfs_read_u64(folder, path, &value) || value > limit)
		return 0;
	return value;
}

static int read_nodes(int folder, const char *name, struct device_node **nodes, size_t *count)
{
	CLEANUP_NAMES struct name_list list = { 0 };
	char path[DEVICE_NAME_SIZE + sizeof("/partition")];

	int result = read_names(folder, ".", &list);
	if (result)
		return result;
	struct device_node *found = calloc(list.count + 1, sizeof(*found));
	if (!found)
		return -ENOMEM;
	snprintf(found->name, sizeof(found->name), "%s", name);
	result = sysfs_read_dev(folder, "dev", &found->major, &found->minor);
	if (result) {
		free(found);
		return result;
	}
	*count = 1;
	for (size_t i = 0; i < list.count; i++) {
		struct device_node *node = &found[*count];

		/* The disk's name begins that of each partition, and saves many looks. */
		if (strncmp(list.names[i]->d_name, name, strlen(name)) != 0)
			continue;
		/* select_device() took only what fits, the NUL included. */
		memcpy(node->name, list.names[i]->d_name, strlen(list.names[i]->d_name) + 1);
		snprintf(path, sizeof(path), "%s/partition", node->name);
		if (faccessat(folder, path, F_OK, 0))
			continue;
		snprintf(path, sizeof(path), "%s/dev", node->name);
		/* One that vanishes now is not there. */
		if (!sysfs_read_dev(folder, path, &node->major, &node->minor))
			(*count)++;
	}
	*nodes = found;
	return 0;
}

static int read_nbd_nodes(int folder, int index, struct device_node **nodes, size_t *count)
{
	char name[DEVICE_NAME_SIZE];

	snprintf(name, sizeof(name), "nbd%d", index);
	int result = read_nodes(folder, name, nodes, count);
	/* An attribute that is gone from an open folder: the device was just removed. */
	return result == -ENOENT ? -ENODEV : result;
}

int device_list_nodes(const char *block_root, int index, struct device_node **nodes, size_t *count)
{
	CLEANUP_CLOSE int folder = device_open_folder(block_root, index);

	return folder < 0 ? folder : read_nbd_nodes(folder, index, nodes, count);
}

int device_list_nodes_of(const char *number_root, unsigned int major, unsigned int minor,
	struct device_node **nodes, size_t *count)
{
	char path[PATH_MAX], target[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%u:%u", number_root, major, minor);
	ssize_t length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	target[length] = '\0';
	CLEANUP_CLOSE int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	int result = read_nodes(folder, basename(target), nodes, count);
	return result == -ENOENT ? -ENODEV : result;
}

int device_read_at(const char *block_root, int index, struct nbdt_device_info *info)
{
	CLEANUP_FREE struct device_node *nodes = NULL;
	uint64_t sectors;
	size_t count;

	CLEANUP_CLOSE int folder = device_open_folder(block_root, index);
	if (folder < 0)
		return folder;
	int result = read_nbd_nodes(folder, index, &nodes, &count);
	if (result)
		return result;
	memset(info, 0, sizeof(*info));
	info->index = index;
	info->major = nodes->major;
	info->minor = nodes->minor;
	info->partitions = (unsigned int)count - 1;
	info->pid = (pid_t)read_number(folder, "pid", INT_MAX);
	info->state = info->pid ? NBDT_DEVICE_CONNECTED : NBDT_DEVICE_FREE;
	sectors = read_number(folder, "size", UINT64_MAX / SECTOR_SIZE);
	info->size = sectors * SECTOR_SIZE;
	info->read_only = read_number(folder, "ro", 1);
	info->block_size = (uint32_t)read_number(folder, "queue/logical_block_size", UINT32_MAX);
	info->max_sectors_kb = (uint32_t)read_number(folder, "queue/max_sectors_kb", UINT32_MAX);
	if (sysfs_read_text(folder, "backend", info->backend, sizeof(info->backend)))
		info->backend[0] = '\0';
	return 0;
}

int device_list_at(const char *block_root, struct nbdt_device_info **list, size_t *count)
{
	CLEANUP_NAMES struct name_list found = { 0 };

	*list = NULL;
	*count = 0;
	int result = read_names(AT_FDCWD, block_root, &found);
	if (result)
		return result == -ENOENT ? 0 : result;
	struct nbdt_device_info *devices = calloc(found.count + 1, sizeof(*devices));
	if (!devices)
		return -ENOMEM;
	for (size_t i = 0; i < found.count; i++) {
		int index = device_parse_name(found.names[i]->d_name);

		if (index < 0)
			continue;
		result = device_read_at(block_root, index, &devices[*count]);
		if (result && result != -ENODEV) {
			free(devices);
			*count = 0;
			return result;
		}
		*count += !result;
	}
	*list = devices;
	return 0;
}

/*
 * The largest size that the kernel accepts for WANTED: whole pages and whole blocks, at most what
 * the driver can do. blk-sysfs.c refuses any other instead of rounding.
 */
static uint64_t fit_max_sectors_kb(int folder, uint64_t wanted)
{
	uint64_t limit = read_number(folder, "queue/max_hw_sectors_kb", UINT32_MAX);
	uint64_t unit = read_number(folder, "queue/logical_block_size", UINT32_MAX) / 1024;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE) / 1024;

	if (unit < page)
		unit = page;
	if (limit && wanted > limit)
		wanted = limit;
	return unit ? wanted - wanted % unit : 0;
}

int device_set_max_request_at(
	const char *block_root, int index, uint32_t bytes, struct nbdt_error *err)
{
	CLEANUP_CLOSE int folder = device_open_folder(block_root, index);
	if (folder < 0)
		return nbdt_error_set(err, folder, "there is no device nbd%d", index);
	uint64_t size = fit_max_sectors_kb(folder, bytes / 1024);
	if (!size)
		return nbdt_error_set(err, -EINVAL,
			"the kernel cannot keep to requests of at most %" PRIu32 " bytes", bytes);
	int result = sysfs_write_u64(folder, "queue/max_sectors_kb", size);
	if (result)
		return nbdt_error_errno(err, result,
			"cannot set the request size of /dev/nbd%d to %" PRIu64 " KiB", index,
			size);
	return 0;
}

int nbdt_device_set_max_request(int index, uint32_t bytes, struct nbdt_error *err)
{
	return device_set_max_request_at(DEVICE_BLOCK_ROOT, index, bytes, err);
}
