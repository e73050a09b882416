/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "claims.h"
#include "cleanup.h"

#define LOCK_NAME "lock"
#define FILE_NAME_SIZE (CLAIM_NAME_SIZE + 8)

/*
 * FNV-1a, 64 bits. Whoever finds two URIs of one hash gains nothing: the second one is refused,
 * because the first is in the file.
 */
static void hash_text(const char *text, char hash[CLAIM_HASH_SIZE])
{
	uint64_t value = UINT64_C(0xcbf29ce484222325);

	for (; *text; text++)
		value = (value ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	snprintf(hash, CLAIM_HASH_SIZE, "%016" PRIx64, value);
}

void claim_make(struct claim *claim, const char *uri, const char *asker)
{
	hash_text(uri, claim->uri);
	hash_text(asker, claim->asker);
}

static bool take_hash(const char *text, char hash[CLAIM_HASH_SIZE])
{
	if (strspn(text, "0123456789abcdef") != CLAIM_HASH_SIZE - 1)
		return false;
	memcpy(hash, text, CLAIM_HASH_SIZE - 1);
	hash[CLAIM_HASH_SIZE - 1] = '\0';
	return true;
}

int claim_parse(const char *text, struct claim *claim)
{
	if (strlen(text) != CLAIM_TEXT_SIZE - 1 || !take_hash(text, claim->uri) ||
		text[CLAIM_HASH_SIZE - 1] != '.' ||
		!take_hash(text + CLAIM_HASH_SIZE, claim->asker))
		return -EINVAL;
	return 0;
}

void claim_name(const struct claim *claim, char name[CLAIM_NAME_SIZE])
{
	snprintf(name, CLAIM_NAME_SIZE, CLAIM_PREFIX "%s", claim->uri);
}

int claim_check_uri(const char *uri, struct nbdt_error *err)
{
	struct nbdt_uri *parsed;

	/* It becomes a line of a file. */
	for (const char *at = uri; *at; at++)
		if (*at <= ' ' || *at > '~')
			return nbdt_error_set(err, -EINVAL,
				"'%.150s' is not a URI: blanks, control characters and bytes"
				" over 126 must be escaped, as %%20 is",
				uri);
	int result = nbdt_uri_parse(uri, &parsed, err);
	if (!result)
		nbdt_uri_free(parsed);
	return result;
}

/* Several events are worked on at once. */
static int take_lock(int folder)
{
	int fd = openat(folder, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX))
		if (errno != EINTR) {
			int result = -errno;

			close(fd);
			return result;
		}
	return fd;
}

/* Under the lock, hence under one temporary name. URIs may hold names of users: for root alone. */
static int write_file(int folder, const char *name, const char *text)
{
	static const char temporary[] = ".new";
	size_t length = strlen(text);

	unlinkat(folder, temporary, 0);
	CLEANUP_CLOSE int fd = openat(
		folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	ssize_t written = write(fd, text, length);
	if (written < 0)
		return -errno;
	if ((size_t)written != length)
		return -ENOSPC;
	return renameat(folder, temporary, folder, name) ? -errno : 0;
}

/* 0: the file has this text and no other. */
static int compare_file(int folder, const char *name, const char *text)
{
	size_t length = strlen(text), compared = 0;
	char piece[512];
	ssize_t got;

	CLEANUP_CLOSE int fd =
		openat(folder, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((got = read(fd, piece, sizeof(piece))) > 0) {
		if ((size_t)got > length - compared ||
			memcmp(piece, text + compared, (size_t)got) != 0)
			return -EEXIST;
		compared += (size_t)got;
	}
	if (got < 0)
		return -errno;
	return compared == length ? 0 : -EEXIST;
}

static int write_entry(int folder, const char *name, const char *uri)
{
	CLEANUP_FREE char *text = NULL;
	char file[FILE_NAME_SIZE];

	if (asprintf(&text, "uri = %s\n", uri) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	snprintf(file, sizeof(file), "%s.conf", name);
	int result = compare_file(folder, file, text);
	return result == -ENOENT ? write_file(folder, file, text) : result;
}

/* 1: it was not there. */
static int write_asker(int folder, const char *name, const struct claim *claim, const char *asker)
{
	char path[FILE_NAME_SIZE];

	snprintf(path, sizeof(path), "%s.by", name);
	if (mkdirat(folder, path, 0755) && errno != EEXIST)
		return -errno;
	CLEANUP_CLOSE int askers = openat(folder, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (askers < 0)
		return -errno;
	if (!faccessat(askers, claim->asker, F_OK, AT_SYMLINK_NOFOLLOW))
		return 0;
	int result = write_file(askers, claim->asker, asker);
	return result ? result : 1;
}

int claim_take(int folder, const struct claim *claim, const char *uri, const char *asker,
	struct nbdt_error *err)
{
	char name[CLAIM_NAME_SIZE];

	claim_name(claim, name);
	CLEANUP_CLOSE int lock = take_lock(folder);
	int result = lock < 0 ? lock : write_entry(folder, name, uri);
	if (result == -EEXIST)
		return nbdt_error_set(err, result,
			"'%.150s' cannot be filed: another URI has the same hash", uri);
	if (!result)
		result = write_asker(folder, name, claim, asker);
	if (result < 0)
		return nbdt_error_errno(err, result, "cannot file '%.150s'", uri);
	return result;
}

int claim_release(int folder, const struct claim *claim, struct nbdt_error *err)
{
	char name[CLAIM_NAME_SIZE], path[FILE_NAME_SIZE + CLAIM_HASH_SIZE];

	claim_name(claim, name);
	CLEANUP_CLOSE int lock = take_lock(folder);
	if (lock < 0)
		return nbdt_error_errno(err, lock, "cannot lock the claims");
	snprintf(path, sizeof(path), "%s.by/%s", name, claim->asker);
	if (unlinkat(folder, path, 0))
		return errno == ENOENT ? 0 : nbdt_error_errno(err, -errno, "%s", path);
	snprintf(path, sizeof(path), "%s.by", name);
	if (unlinkat(folder, path, AT_REMOVEDIR))
		return errno == ENOTEMPTY || errno == EEXIST
			? 0 : nbdt_error_errno(err, -errno, "%s", path);
	snprintf(path, sizeof(path), "%s.conf", name);
	if (unlinkat(folder, path, 0) && errno != ENOENT)
		return nbdt_error_errno(err, -errno, "%s", path);
	return 1;
}
