/* SPDX-License-Identifier: Apache-2.0 */
/* All entries of a machine: finding their files, reading them, and finding one by its name. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "entry.h"

#define NBDTAB_MAXIMUM (256u * 1024) /* bytes */
#define CONF_MAXIMUM (64u * 1024)     /* bytes */

static const char suffix[] = ".conf";

static int read_all(int fd, char *text, size_t maximum, size_t *length)
{
	*length = 0;
	while (*length <= maximum) {
		ssize_t got = read(fd, text + *length, maximum + 1 - *length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			return 0;
		*length += (size_t)got;
	}
	return -EFBIG;
}

/*
 * The text of a regular file, with a NUL after it, for free(). Anything else in its place, such as
 * a FIFO, must not hold up a boot.
 */
static int read_file(const char *path, size_t maximum, char **text, size_t *length)
{
	struct stat status;

	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EBADF;
	char *room = malloc(maximum + 2);
	if (!room)
		return -ENOMEM;
	int result = read_all(fd, room, maximum, length);
	if (result) {
		free(room);
		return result;
	}
	room[*length] = '\0';
	*text = room;
	return 0;
}

/* A file that is there, and cannot be read, is an entry that is refused. */
static void refuse_file(
	struct entry_list *list, const char *path, const char *name, int result, size_t maximum)
{
	struct nbdt_entry *entry = entry_add(list, path, 0, name);

	if (!entry)
		return;
	if (result == -EFBIG)
		entry_refuse(entry, 0, "more than %zu bytes", maximum);
	else if (result == -EBADF)
		entry_refuse(entry, 0, "not a regular file");
	else
		entry_refuse(entry, 0, "%s", strerrordesc_np(-result));
}

static void read_nbdtab(struct entry_list *list, const char *etc)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *text = NULL;
	size_t length = 0;

	if (asprintf(&path, "%s/nbdtab", etc) < 0) {
		path = NULL;
		list->no_memory = true;
		return;
	}
	int result = read_file(path, NBDTAB_MAXIMUM, &text, &length);
	if (!result)
		nbdtab_parse(list, path, text, length);
	else if (result != -ENOENT)
		refuse_file(list, path, NULL, result, NBDTAB_MAXIMUM);
}

/* FILE: "NAME.conf". A name with ':' is only for what udev's helper has filed. */
static void read_conf(struct entry_list *list, const char *folder, const char *file, bool hotplug)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE char *name = strndup(file, strlen(file) - (sizeof(suffix) - 1));
	size_t length = 0;

	if (asprintf(&path, "%s/%s", folder, file) < 0)
		path = NULL;
	if (!path || !name) {
		list->no_memory = true;
		return;
	}
	if (!nbdt_entry_name_valid(name) || (!hotplug && strchr(name, ':'))) {
		struct nbdt_entry *entry = entry_add(list, path, 0, NULL);

		if (entry)
			entry_refuse(entry, 0,
				"not the name of an entry: 1 to %u letters, digits and \"._+-\"",
				NBDT_MAX_ENTRY_NAME);
		return;
	}
	int result = read_file(path, CONF_MAXIMUM, &text, &length);
	if (!result)
		entry_conf_parse(list, path, name, text, length);
	else if (result != -ENOENT || !hotplug) /* there, a device may just have gone */
		refuse_file(list, path, name, result, CONF_MAXIMUM);
}

/* Hidden files, as editors leave them, are no entries. */
static int is_conf(const struct dirent *file)
{
	size_t length = strlen(file->d_name);

	return *file->d_name != '.' && length >= sizeof(suffix) &&
		!strcmp(file->d_name + length - (sizeof(suffix) - 1), suffix);
}

static void read_folder(struct entry_list *list, const char *top, const char *name, bool hotplug)
{
	CLEANUP_FREE char *folder = NULL;
	struct dirent **files = NULL;

	if (asprintf(&folder, "%s/%s", top, name) < 0) {
		folder = NULL;
		list->no_memory = true;
		return;
	}
	int count = scandir(folder, &files, is_conf, alphasort);
	for (int i = 0; i < count; i++) {
		read_conf(list, folder, files[i]->d_name, hotplug);
		free(files[i]);
	}
	free(files);
	if (count < 0 && errno != ENOENT)
		refuse_file(list, folder, NULL, -errno, 0);
}

/* By name, and of one name in the order of the list. */
static int compare_names(const void *one, const void *other)
{
	const struct nbdt_entry *a = *(struct nbdt_entry *const *)one;
	const struct nbdt_entry *b = *(struct nbdt_entry *const *)other;
	int order = strcmp(a->name, b->name);

	return order ? order : (a > b) - (a < b);
}

/* The first one of a name counts. */
static void refuse_duplicates(struct entry_list *list)
{
	CLEANUP_FREE struct nbdt_entry **named =
		calloc(list->count + 1, sizeof(struct nbdt_entry *));
	size_t count = 0, first = 0;

	if (!named) {
		list->no_memory = true;
		return;
	}
	for (size_t i = 0; i < list->count; i++)
		if (list->entries[i].name)
			named[count++] = &list->entries[i];
	qsort(named, count, sizeof(struct nbdt_entry *), compare_names);
	for (size_t i = 1; i < count; i++) {
		if (strcmp(named[first]->name, named[i]->name) != 0)
			first = i;
		else
			entry_refuse(named[i], 0, "%s is in %s already", named[first]->name,
				named[first]->origin);
	}
}

int nbdt_entries_read(const char *etc, const char *run, struct nbdt_entry **entries, size_t *count,
	struct nbdt_error *err)
{
	struct entry_list list = { 0 };

	if (etc) {
		read_nbdtab(&list, etc);
		read_folder(&list, etc, "nbd", false);
	}
	if (run)
		read_folder(&list, run, "hotplug", true);
	refuse_duplicates(&list);
	*entries = list.entries;
	*count = list.count;
	if (!list.no_memory)
		return 0;
	nbdt_entries_free(list.entries, list.count);
	return nbdt_error_errno(err, -ENOMEM, "cannot read the entries");
}

static int say_not_found(const struct nbdt_entry *entries, size_t count, const char *etc,
	const char *run, const char *name, struct nbdt_error *err)
{
	size_t i = 0;

	if (run && (!etc || strchr(name, ':')))
		return nbdt_error_set(err, -ENOENT, "%.100s: there is no such entry in %s/hotplug",
			name, run);
	/* What could not be read, not even its name, may have been the one. */
	while (i < count && entries[i].name)
		i++;
	return nbdt_error_set(err, -ENOENT,
		"%.100s: there is no such entry in %s/nbdtab or %s/nbd%s%s", name, etc, etc,
		i < count ? "; " : "", i < count ? entries[i].error.text : "");
}

int nbdt_entry_find(const char *etc, const char *run, const char *name, struct nbdt_entry *entry,
	struct nbdt_error *err)
{
	struct nbdt_entry *entries;
	size_t count, i = 0;

	memset(entry, 0, sizeof(*entry));
	int result = nbdt_entries_read(etc, run, &entries, &count, err);
	if (result)
		return result;
	while (i < count && (!entries[i].name || strcmp(entries[i].name, name) != 0))
		i++;
	if (i < count) {
		*entry = entries[i];
		memset(&entries[i], 0, sizeof(entries[i]));
		result = entry->error.code;
		if (result)
			nbdt_error_set(err, result, "%s", entry->error.text);
	} else {
		result = say_not_found(entries, count, etc, run, name, err);
	}
	nbdt_entries_free(entries, count);
	return result;
}
