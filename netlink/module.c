/* SPDX-License-Identifier: Apache-2.0 */
/* The presence of the nbd driver: loaded, built in, or to be loaded by modprobe. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel-internal.h"

#define MODPROBE_LIMIT_MS 30000

/*
 * A block driver is listed with its major number, also one that is built in and has no devices
 * yet.
 */
static bool listed_in_proc_devices(void)
{
	char line[128];
	bool found = false;
	FILE *file = fopen("/proc/devices", "re");

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		size_t length = strcspn(line, "\n");

		line[length] = '\0';
		found = length > 4 && strcmp(line + length - 4, " nbd") == 0;
	}
	fclose(file);
	return found;
}

bool kernel_has_driver(void)
{
	return access("/sys/module/nbd", F_OK) == 0 || listed_in_proc_devices();
}

/* Starts modprobe with stderr on a pipe. Returns 0, or a negative errno: -ENOENT there is none. */
static int spawn_modprobe(int stderr_fd, pid_t *pid)
{
	static const char *const paths[] = { "/sbin/modprobe", "/usr/sbin/modprobe" };
	char *argv[] = { "modprobe", "nbd", NULL };
	char *envp[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int result = -ENOENT;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, stderr_fd, STDERR_FILENO);
	/* The program's own handling of signals is not modprobe's. */
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && result == -ENOENT; i++)
		result = -posix_spawn(pid, paths[i], &actions, &attributes, argv, envp);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return result;
}

/* Reads up to the end of the stream; what does not fit is dropped. */
static int read_words(int fd, char *words, size_t size)
{
	char piece[256];
	size_t used = 0;

	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		int ready = poll(&wait, 1, MODPROBE_LIMIT_MS);

		if (ready == 0)
			return -ETIMEDOUT;
		ssize_t got = ready < 0 ? -1 : read(fd, piece, sizeof(piece));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		size_t room = size - 1 - used;
		size_t take = (size_t)got < room ? (size_t)got : room;
		memcpy(words + used, piece, take);
		used += take;
	}
	words[used] = '\0';
	return 0;
}

/* One line without the name of the program and its "FATAL:". */
static const char *tidy(char *words)
{
	static const char *const prefixes[] = { "modprobe: ", "FATAL: ", "ERROR: " };

	words[strcspn(words, "\n")] = '\0';
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(words, prefixes[i], strlen(prefixes[i])) == 0)
			words += strlen(prefixes[i]);
	return words;
}

/* Runs modprobe to its end. WORDS receives what it complained about. */
static int run_modprobe(char *words, size_t size)
{
	int pipe_fds[2];
	pid_t pid = 0;

	words[0] = '\0';
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	int result = spawn_modprobe(pipe_fds[1], &pid);
	close(pipe_fds[1]);
	if (result == 0) {
		result = read_words(pipe_fds[0], words, size);
		if (result < 0)
			kill(pid, SIGKILL);
		/* Its exit status says no more than a second look for the driver will. */
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(pipe_fds[0]);
	return result;
}

int nbdt_kernel_load_module(struct nbdt_error *err)
{
	char words[300];

	if (kernel_has_driver())
		return 0;
	int result = run_modprobe(words, sizeof(words));
	if (kernel_has_driver())
		return 0;
	if (result == -ENOENT)
		return nbdt_error_set(err, -ENODEV,
			"this kernel has no nbd driver, and there is no modprobe to load it");
	if (result < 0)
		return nbdt_error_set(err, -ENODEV,
			"the kernel module nbd cannot be loaded: modprobe: %s", strerror(-result));
	if (strstr(words, "Operation not permitted"))
		return nbdt_error_set(
			err, -EPERM, "loading the kernel module nbd needs root (CAP_SYS_MODULE)");
	return nbdt_error_set(err, -ENODEV, "the kernel module nbd cannot be loaded: %s",
		words[0] ? tidy(words) : "modprobe gives no reason");
}
