/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the records: nbdN.json in NBDT_RUN_DIR, each written at once or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backoff.h"
#include "cleanup.h"
#include "process.h"
#include "record-internal.h"
#include "sysfs.h"

#define LOCK_NAME "lock"
#define LOCK_LIMIT 60000 /* milliseconds */
/* Held while one file is compared and replaced, by callers with and without the lock above. */
#define FILE_LOCK_NAME "files.lock"
#define FILE_LOCK_LIMIT 5000 /* milliseconds */
#define NAME_SIZE 96

int nbdt_record_init(struct nbdt_record *record, struct nbdt_error *err)
{
	char uuid[64];

	int result = sysfs_read_text(AT_FDCWD, "/proc/sys/kernel/random/uuid", uuid, sizeof(uuid));
	if (!result && !record_is_uuid(uuid))
		result = -EINVAL;
	if (result)
		return nbdt_error_errno(err, result, "cannot read /proc/sys/kernel/random/uuid");
	memcpy(record->uuid, uuid, sizeof(record->uuid));
	record->pid = getpid();
	result = process_start_time(record->pid, &record->start_time);
	if (result)
		return nbdt_error_errno(err, result, "cannot read /proc/self/stat");
	return 0;
}

static int open_folder(bool create, struct nbdt_error *err)
{
	/* Not only those who may write records read them: the umask has no say. */
	if (create && !mkdir(NBDT_RUN_DIR, 0755))
		chmod(NBDT_RUN_DIR, 0755);
	else if (create && errno != EEXIST)
		return nbdt_error_errno(
			err, -errno, "cannot make " NBDT_RUN_DIR " (attaching needs root)");
	int fd = open(NBDT_RUN_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return nbdt_error_errno(err, -errno, "cannot open " NBDT_RUN_DIR);
	return fd;
}

/*
 * Takes a lock file. Only root may open it: flock() asks for no right to write, and anybody could
 * hold up every attach otherwise.
 */
static int take_lock(int folder, const char *name, unsigned int milliseconds)
{
	struct backoff backoff = backoff_start(milliseconds);

	int fd = openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		int result = -errno;

		if (result == -EINTR)
			continue;
		if (result == -EWOULDBLOCK && backoff_sleep(&backoff))
			continue;
		close(fd);
		return result == -EWOULDBLOCK ? -ETIMEDOUT : result;
	}
	return fd;
}

int record_lock_at(int folder, unsigned int milliseconds, struct nbdt_error *err)
{
	int fd = take_lock(folder, LOCK_NAME, milliseconds);
	if (fd == -ETIMEDOUT)
		return nbdt_error_set(err, fd,
			"another process has been attaching for %u s and holds " NBDT_RUN_DIR
			"/" LOCK_NAME,
			milliseconds / 1000);
	if (fd < 0)
		return nbdt_error_errno(err, fd, "cannot lock " NBDT_RUN_DIR "/" LOCK_NAME);
	return fd;
}

int nbdt_record_lock(struct nbdt_error *err)
{
	CLEANUP_CLOSE int folder = open_folder(true, err);
	if (folder < 0)
		return folder;
	return record_lock_at(folder, LOCK_LIMIT, err);
}

static int write_all(int fd, const char *text)
{
	size_t length = strlen(text);

	while (length) {
		ssize_t written = write(fd, text, length);

		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			text += written;
			length -= (size_t)written;
		}
	}
	return 0;
}

/* Readable for all whatever the umask. */
static int write_file(int folder, const char *name, const char *text)
{
	CLEANUP_CLOSE int fd = openat(
		folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0644))
		return -errno;
	int result = write_all(fd, text);
	return result ? result : write_all(fd, "\n");
}

/* Under the lock of the files, hence under one temporary name for each device. */
static int replace_file(int folder, int index, const char *text)
{
	char name[NAME_SIZE], temporary[NAME_SIZE];

	CLEANUP_CLOSE int lock = take_lock(folder, FILE_LOCK_NAME, FILE_LOCK_LIMIT);
	if (lock < 0)
		return lock;
	snprintf(name, sizeof(name), "nbd%d.json", index);
	snprintf(temporary, sizeof(temporary), ".nbd%d.json.new", index);
	int result = write_file(folder, temporary, text);
	/* No fsync: /run does not outlive the kernel, and neither do the devices. */
	if (!result && renameat(folder, temporary, folder, name))
		result = -errno;
	if (result)
		unlinkat(folder, temporary, 0);
	return result;
}

int record_write_at(int folder, const struct nbdt_record *record, struct nbdt_error *err)
{
	if (record->index < 0 || !record_is_uuid(record->uuid) || !record->source ||
		!record->source[0] || strlen(record->source) > RECORD_MAX_SOURCE)
		return nbdt_error_set(err, -EINVAL,
			"a record needs a device, a UUID and a source of at most %d bytes",
			RECORD_MAX_SOURCE);
	if (record->name && !nbdt_entry_name_valid(record->name))
		return nbdt_error_set(
			err, -EINVAL, "%.80s: not the name of an entry", record->name);
	CLEANUP_FREE char *text = record_format(record);
	int result = text ? replace_file(folder, record->index, text) : -ENOMEM;
	if (result)
		return nbdt_error_errno(err, result, "cannot write " NBDT_RUN_DIR "/nbd%d.json",
			record->index);
	return 0;
}

int nbdt_record_write(const struct nbdt_record *record, struct nbdt_error *err)
{
	CLEANUP_CLOSE int folder = open_folder(true, err);
	if (folder < 0)
		return folder;
	return record_write_at(folder, record, err);
}

/* The whole of a regular file. O_NONBLOCK: a FIFO by that name must not hold us. */
static int read_file(int folder, const char *name, char **text, size_t *length)
{
	struct stat status;

	CLEANUP_CLOSE int fd = openat(
		folder, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == ELOOP ? -EINVAL : -errno;
	if (fstat(fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	/* One byte more than a record may have: what fills it is none. */
	char *buffer = malloc(RECORD_MAX_FILE + 1);
	if (!buffer)
		return -ENOMEM;
	size_t total = 0;
	ssize_t got = 0;
	do {
		got = read(fd, buffer + total, RECORD_MAX_FILE + 1 - total);
		if (got > 0)
			total += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	if (got < 0 || total > RECORD_MAX_FILE) {
		int result = got < 0 ? -errno : -EINVAL;

		free(buffer);
		return result;
	}
	*text = buffer;
	*length = total;
	return 0;
}

int record_read_at(int folder, int index, struct nbdt_record *record, struct nbdt_error *err)
{
	CLEANUP_FREE char *text = NULL;
	char name[NAME_SIZE];
	size_t length = 0;

	memset(record, 0, sizeof(*record));
	snprintf(name, sizeof(name), "nbd%d.json", index);
	int result = read_file(folder, name, &text, &length);
	if (!result)
		result = record_parse(text, length, record);
	if (!result && record->index != index) {
		nbdt_record_free(record);
		result = -EINVAL;
	}
	if (result == -EINVAL)
		return nbdt_error_set(err, result, NBDT_RUN_DIR "/%s is damaged", name);
	if (result)
		return nbdt_error_errno(err, result, "cannot read " NBDT_RUN_DIR "/%s", name);
	return 0;
}

int nbdt_record_read(int index, struct nbdt_record *record, struct nbdt_error *err)
{
	memset(record, 0, sizeof(*record));
	CLEANUP_CLOSE int folder = open_folder(false, err);
	if (folder < 0)
		return folder;
	return record_read_at(folder, index, record, err);
}

void nbdt_record_free(struct nbdt_record *record)
{
	free(record->name);
	free(record->source);
	record->name = NULL;
	record->source = NULL;
}

static bool has_uuid(int folder, int index, const char *uuid)
{
	struct nbdt_record record;

	if (record_read_at(folder, index, &record, NULL))
		return false;
	bool same = !strcmp(record.uuid, uuid);
	nbdt_record_free(&record);
	return same;
}

/* 1: it was there; 0: it was not. */
static int remove_file(int folder, const char *name)
{
	if (!unlinkat(folder, name, 0))
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

/*
 * By the time that an old keeper removes its record, the device may belong to a new one. Its record
 * is written under the same lock, and its socket is bound only after that: both stay.
 */
int record_remove_at(int folder, int index, const char *uuid, struct nbdt_error *err)
{
	char name[NAME_SIZE];

	CLEANUP_CLOSE int lock = take_lock(folder, FILE_LOCK_NAME, FILE_LOCK_LIMIT);
	if (lock < 0)
		return nbdt_error_errno(err, lock, "cannot lock " NBDT_RUN_DIR "/" FILE_LOCK_NAME);
	if (uuid && !has_uuid(folder, index, uuid))
		return 0;
	snprintf(name, sizeof(name), "nbd%d.sock", index);
	int result = remove_file(folder, name);
	snprintf(name, sizeof(name), "nbd%d.json", index);
	int second = remove_file(folder, name);
	if (second < 0 || result >= 0)
		result = second;
	if (result < 0)
		return nbdt_error_errno(
			err, result, "cannot remove the record of nbd%d in " NBDT_RUN_DIR, index);
	return result;
}

int nbdt_record_remove(int index, const char *uuid, struct nbdt_error *err)
{
	if (access(NBDT_RUN_DIR, F_OK) && errno == ENOENT)
		return 0;
	CLEANUP_CLOSE int folder = open_folder(false, err);
	if (folder < 0)
		return folder;
	return record_remove_at(folder, index, uuid, err);
}
