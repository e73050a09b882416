/* SPDX-License-Identifier: Apache-2.0 */
/* Names of units, by systemd's own tool. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "unit-file.h"

/* What it says on stderr goes where ours goes. */
static int spawn_escape(const char *template, const char *instance, int output, pid_t *pid)
{
	CLEANUP_FREE char *option = NULL;
	posix_spawn_file_actions_t actions;

	if (asprintf(&option, "--template=%s", template) < 0) {
		option = NULL;
		return -ENOMEM;
	}
	char *const argv[] = { "systemd-escape", option, "--", (char *)(uintptr_t)instance, NULL };
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	int result = -posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return result;
}

/* One line; what does not fit is no name. */
static int read_name(int fd, char name[UNIT_NAME_SIZE])
{
	size_t length = 0;
	ssize_t got;

	do {
		got = read(fd, name + length, UNIT_NAME_SIZE - length);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0)
			length += (size_t)got;
	} while (got && length < UNIT_NAME_SIZE);
	if (!length || length == UNIT_NAME_SIZE || name[length - 1] != '\n')
		return -EINVAL;
	name[length - 1] = '\0';
	return strchr(name, '/') || strchr(name, '\n') || *name == '.' ? -EINVAL : 0;
}

int unit_name(const char *template, const char *instance, char name[UNIT_NAME_SIZE],
	struct nbdt_error *err)
{
	int ends[2], status = 0;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return nbdt_error_errno(err, -errno, "pipe");
	int result = spawn_escape(template, instance, ends[1], &pid);
	close(ends[1]);
	if (!result) {
		result = read_name(ends[0], name);
		close(ends[0]);
		waitpid(pid, &status, 0);
		if (!result && status)
			result = -EINVAL;
	} else {
		close(ends[0]);
	}
	if (result)
		return nbdt_error_errno(
			err, result, "%s: no unit can be named for it by systemd-escape", instance);
	return 0;
}
