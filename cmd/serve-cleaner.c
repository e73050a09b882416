/* SPDX-License-Identifier: Apache-2.0 */
#include "serve-cleaner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

/*
 * A file to be removed, by its folder as it was while we were root: whoever may rename that folder
 * cannot send us to another one.
 */
struct trace {
	int folder; /* -1: none */
	char *name;
	dev_t dev;
	ino_t ino;
};

static int note_trace(const char *path, struct trace *trace)
{
	struct stat status;

	trace->folder = -1;
	if (!path)
		return 0;
	const char *slash = strrchr(path, '/');
	CLEANUP_FREE char *folder = strndup(path, (size_t)(slash - path) + 1);
	trace->name = strdup(slash + 1);
	if (!folder || !trace->name)
		return -ENOMEM;
	trace->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (trace->folder < 0 || fstatat(trace->folder, trace->name, &status, AT_SYMLINK_NOFOLLOW))
		return -errno;
	trace->dev = status.st_dev;
	trace->ino = status.st_ino;
	return 0;
}

/* Another server may have put its own there by now. */
static bool is_same(const struct trace *trace)
{
	struct stat status;

	return trace->folder >= 0 &&
	       !fstatat(trace->folder, trace->name, &status, AT_SYMLINK_NOFOLLOW) &&
	       status.st_dev == trace->dev && status.st_ino == trace->ino;
}

static bool names_process(const struct trace *trace, pid_t pid)
{
	char text[32] = "";

	CLEANUP_CLOSE int fd =
		openat(trace->folder, trace->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && strtol(text, NULL, 10) == pid;
}

static void clean(int link, const struct trace *socket, const struct trace *pid_file, pid_t server)
{
	ssize_t told;
	char byte;

	do {
		told = recv(link, &byte, 1, 0);
		if (told < 0 && errno == EINTR)
			continue;
		if (is_same(socket))
			unlinkat(socket->folder, socket->name, 0);
		if (told > 0)
			send(link, &byte, 1, MSG_NOSIGNAL);
	} while (told > 0 || (told < 0 && errno == EINTR));
	if (is_same(pid_file) && names_process(pid_file, server))
		unlinkat(pid_file->folder, pid_file->name, 0);
}

static int compare(const void *one, const void *other)
{
	return *(const int *)one - *(const int *)other;
}

static void close_all_but(int *kept, size_t count)
{
	unsigned int from = STDERR_FILENO + 1;

	qsort(kept, count, sizeof(kept[0]), compare);
	for (size_t i = 0; i < count; i++) {
		if (kept[i] < (int)from)
			continue;
		if (kept[i] > (int)from)
			close_range(from, (unsigned int)kept[i] - 1, 0);
		from = (unsigned int)kept[i] + 1;
	}
	close_range(from, ~0u, 0);
}

/* The signals that would end it are blocked. Whoever reads our output shall not wait for it. */
static void settle(int link, const struct trace *socket, const struct trace *pid_file)
{
	int kept[] = { link, socket->folder, pid_file->folder };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	close_all_but(kept, sizeof(kept) / sizeof(kept[0]));
}

enum command_status cleaner_start(struct cleaner *cleaner, const char *socket, const char *pid_file)
{
	struct trace traces[2] = { { 0 } };
	int pair[2];

	int result = note_trace(socket, &traces[0]);
	if (!result)
		result = note_trace(pid_file, &traces[1]);
	if (!result && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		result = -errno;
	if (result) {
		say_error("cannot prepare the removal of the socket: %s", strerrordesc_np(-result));
		return STATUS_FAILED;
	}
	pid_t server = getpid();
	cleaner->pid = fork();
	if (!cleaner->pid) {
		settle(pair[1], &traces[0], &traces[1]);
		clean(pair[1], &traces[0], &traces[1], server);
		_exit(0);
	}
	close(pair[1]);
	cleaner->link = pair[0];
	for (size_t i = 0; i < 2; i++) {
		if (traces[i].folder >= 0)
			close(traces[i].folder);
		free(traces[i].name);
	}
	if (cleaner->pid > 0)
		return STATUS_DONE;
	cleaner->pid = 0;
	close(cleaner->link);
	say_error("cannot fork: %m");
	return STATUS_FAILED;
}

void cleaner_remove_socket(const struct cleaner *cleaner)
{
	char byte = 0;

	if (cleaner->pid && send(cleaner->link, &byte, 1, MSG_NOSIGNAL) == 1)
		recv(cleaner->link, &byte, 1, 0);
}

void cleaner_finish(struct cleaner *cleaner)
{
	if (!cleaner->pid)
		return;
	close(cleaner->link);
	while (waitpid(cleaner->pid, NULL, 0) < 0 && errno == EINTR)
		;
	cleaner->pid = 0;
}
