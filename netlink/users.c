/* SPDX-License-Identifier: Apache-2.0 */
/* Who uses a device, as far as the system tells: mounts, swap, and devices stacked upon it. */
#include <dirent.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "device-internal.h"
#include "sysfs.h"

#define BTRFS_ROOT "/sys/fs/btrfs"

/* The search: for which nodes, and what was found so far. */
struct search {
	const struct device_node *nodes;
	size_t node_count;
	char *text;
	size_t size;
	int found;
	uint64_t mounted; /* bit i: nodes[i] was found in the mount table */
	bool targets_only; /* mount points instead of sentences */
};

__attribute__((format(printf, 2, 3))) static void add_user(
	struct search *search, const char *format, ...)
{
	size_t length = strlen(search->text);
	va_list arguments;

	if (search->found++ && length + 2 < search->size) {
		memcpy(search->text + length, ", ", 3);
		length += 2;
	}
	va_start(arguments, format);
	vsnprintf(search->text + length, search->size - length, format, arguments);
	va_end(arguments);
}

static const struct device_node *find_node(const struct search *search, dev_t number)
{
	for (size_t i = 0; i < search->node_count; i++)
		if (makedev(search->nodes[i].major, search->nodes[i].minor) == number)
			return &search->nodes[i];
	return NULL;
}

/* By the path of a node, under whichever name: udev's links and device-mapper's count too. */
static const struct device_node *find_node_by_path(const struct search *search, const char *path)
{
	struct stat status;

	/* Sources need not be paths at all, and any path but a device's may be on a dead server. */
	if (!path || strncmp(path, "/dev/", strlen("/dev/")) != 0)
		return NULL;
	if (stat(path, &status) || !S_ISBLK(status.st_mode))
		return NULL;
	return find_node(search, status.st_rdev);
}

static uint64_t node_bit(ptrdiff_t i)
{
	return i < 64 ? UINT64_C(1) << i : 0;
}

/* btrfs shows a device number of its own, hence the source too. */
static void find_mounts(struct search *search)
{
	struct libmnt_table *table = mnt_new_table_from_file("/proc/self/mountinfo");
	struct libmnt_iter *position = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;

	while (table && position && mnt_table_next_fs(table, position, &fs) == 0) {
		const struct device_node *node = find_node(search, mnt_fs_get_devno(fs));

		if (!node)
			node = find_node_by_path(search, mnt_fs_get_srcpath(fs));
		if (!node)
			continue;
		if (search->targets_only)
			add_user(search, "%s", mnt_fs_get_target(fs));
		else
			add_user(search, "/dev/%s is mounted on %s", node->name,
				mnt_fs_get_target(fs));
		search->mounted |= node_bit(node - search->nodes);
	}
	mnt_free_iter(position);
	mnt_unref_table(table);
}

static void find_swaps(struct search *search)
{
	struct libmnt_table *table = mnt_new_table();
	struct libmnt_iter *position = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;

	if (table && position && mnt_table_parse_swaps(table, NULL) == 0)
		while (mnt_table_next_fs(table, position, &fs) == 0) {
			const struct device_node *node =
				find_node_by_path(search, mnt_fs_get_srcpath(fs));

			if (node)
				add_user(search, "/dev/%s is swap", node->name);
		}
	mnt_free_iter(position);
	mnt_unref_table(table);
}

static bool is_dot(const struct dirent *entry)
{
	return entry->d_name[0] == '.';
}

/* "dm-0 (vg-root)", as people know device-mapper's devices by their names. */
static void add_holder(struct search *search, const struct device_node *node, const char *holder)
{
	char path[PATH_MAX], name[128];

	snprintf(path, sizeof(path), "/sys/block/%s/dm/name", holder);
	if (sysfs_read_text(AT_FDCWD, path, name, sizeof(name)))
		add_user(search, "/dev/%s is held by %s", node->name, holder);
	else
		add_user(search, "/dev/%s is held by %s (%s)", node->name, holder, name);
}

static void find_holders(struct search *search, const struct device_node *node)
{
	char path[64];
	struct dirent *entry;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders", node->major, node->minor);
	DIR *folder = opendir(path);
	if (!folder)
		return;
	while ((entry = readdir(folder)))
		if (!is_dot(entry))
			add_holder(search, node, entry->d_name);
	closedir(folder);
}

/* A filesystem's devices beyond the first stand in no mount table. */
static void find_btrfs_members(struct search *search, const char *uuid)
{
	char path[PATH_MAX];
	struct stat status;

	for (size_t i = 0; i < search->node_count; i++) {
		if (search->mounted & node_bit((ptrdiff_t)i))
			continue;
		snprintf(path, sizeof(path), BTRFS_ROOT "/%s/devices/%s", uuid,
			search->nodes[i].name);
		if (!stat(path, &status))
			add_user(search, "/dev/%s is part of the mounted btrfs %s",
				search->nodes[i].name, uuid);
	}
}

static void find_btrfs(struct search *search)
{
	struct dirent *entry;

	DIR *folder = opendir(BTRFS_ROOT);
	if (!folder)
		return;
	while ((entry = readdir(folder)))
		if (!is_dot(entry))
			find_btrfs_members(search, entry->d_name);
	closedir(folder);
}

/* Loop devices open what they lie upon like any program, and are no holders. */
static void find_loops(struct search *search)
{
	char path[PATH_MAX], backing[PATH_MAX];
	struct dirent *entry;

	DIR *folder = opendir("/sys/block");
	if (!folder)
		return;
	while ((entry = readdir(folder))) {
		if (strncmp(entry->d_name, "loop", strlen("loop")) != 0)
			continue;
		snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", entry->d_name);
		if (sysfs_read_text(AT_FDCWD, path, backing, sizeof(backing)))
			continue;
		const struct device_node *node = find_node_by_path(search, backing);
		if (node)
			add_holder(search, node, entry->d_name);
	}
	closedir(folder);
}

/* Nor are devices of ours, unless they may write. */
static void find_stacked(struct search *search)
{
	CLEANUP_FREE struct nbdt_device_info *list = NULL;
	struct nbdt_record record;
	size_t count;

	if (device_list_at(DEVICE_BLOCK_ROOT, &list, &count))
		return;
	for (size_t i = 0; i < count; i++) {
		char name[DEVICE_NAME_SIZE];

		if (!list[i].pid || nbdt_record_read(list[i].index, &record, NULL))
			continue;
		/* Of a block device, record.file_dev is the number, and there is no inode. */
		const struct device_node *node = NULL;
		if (record.kind == NBDT_KIND_LOOP && !record.file_ino &&
			nbdt_record_check(&record, &list[i]) != NBDT_RECORD_STALE)
			node = find_node(search, record.file_dev);
		snprintf(name, sizeof(name), "nbd%d", list[i].index);
		if (node)
			add_holder(search, node, name);
		nbdt_record_free(&record);
	}
}

/* Mount points and names are chosen by others, and this ends up on terminals. */
static void replace_controls(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static int find_users(const struct device_node *nodes, size_t count, char *text, size_t size)
{
	struct search search = {
		.nodes = nodes,
		.node_count = count,
		.text = text,
		.size = size,
	};

	if (!size)
		return 0;
	text[0] = '\0';
	if (!count)
		return 0;
	find_mounts(&search);
	find_swaps(&search);
	for (size_t i = 0; i < count; i++)
		find_holders(&search, &nodes[i]);
	find_btrfs(&search);
	find_loops(&search);
	find_stacked(&search);
	replace_controls(text);
	return search.found;
}

int nbdt_device_users(int index, char *text, size_t size)
{
	CLEANUP_FREE struct device_node *nodes = NULL;
	size_t count = 0;

	device_list_nodes(DEVICE_BLOCK_ROOT, index, &nodes, &count);
	return find_users(nodes, count, text, size);
}

int nbdt_block_users(unsigned int major, unsigned int minor, char *text, size_t size)
{
	CLEANUP_FREE struct device_node *nodes = NULL;
	size_t count = 0;

	device_list_nodes_of(DEVICE_NUMBER_ROOT, major, minor, &nodes, &count);
	return find_users(nodes, count, text, size);
}

int nbdt_device_mountpoints(int index, char *text, size_t size)
{
	CLEANUP_FREE struct device_node *nodes = NULL;
	struct search search = { .text = text, .size = size, .targets_only = true };

	if (!size)
		return 0;
	text[0] = '\0';
	if (device_list_nodes(DEVICE_BLOCK_ROOT, index, &nodes, &search.node_count))
		return 0;
	search.nodes = nodes;
	find_mounts(&search);
	replace_controls(search.text);
	return search.found;
}
