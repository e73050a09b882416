/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-loop FILE -- COMMAND: the device lives exactly as long as the command. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nbd-loop.h"

/* What a shell gives for a command that can't be run, and for one that does not exist. */
#define STATUS_CANNOT_RUN 126
#define STATUS_NO_COMMAND 127

static void exec_command(char **command, int index, const sigset_t *mask)
{
	char path[DEVICE_PATH_SIZE];

	device_path(index, path);
	if (setenv("NBD_DEVICE", path, 1))
		_exit(STATUS_CAPTIVE_FAILED);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(command[0], command);
	say_error("%s: %s", command[0], strerrordesc_np(errno));
	_exit(errno == ENOENT ? STATUS_NO_COMMAND : STATUS_CANNOT_RUN);
}

/*
 * Waits for the command. SIGTERM and SIGHUP to us are passed on. A terminal sends SIGINT and
 * SIGQUIT to the whole foreground group, the command included: it decides, and we wait.
 */
static int wait_for_command(pid_t pid, const sigset_t *handled)
{
	int status;

	for (;;) {
		siginfo_t signal;
		int number = sigwaitinfo(handled, &signal);

		if (number == SIGTERM || number == SIGHUP)
			kill(pid, number);
		if (number == SIGCHLD && waitpid(pid, &status, WNOHANG) == pid
			&& (WIFEXITED(status) || WIFSIGNALED(status)))
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
}

static int detach_after(int index, int status)
{
	struct nbdt_error err;

	int result = nbdt_detach(index, NULL, &err);
	/* The command may have detached it itself. */
	if (!result || result == -ENOTCONN || result == -ENODEV)
		return status;
	if (result == -EBUSY) {
		say_error("%s; detaching when it is no longer in use", err.text);
		return STATUS_BUSY;
	}
	say_error("%s", err.text);
	return STATUS_CAPTIVE_FAILED;
}

int run_captive(char **command, int index, int link)
{
	sigset_t handled, before;

	sigemptyset(&handled);
	sigaddset(&handled, SIGCHLD);
	sigaddset(&handled, SIGTERM);
	sigaddset(&handled, SIGHUP);
	sigaddset(&handled, SIGINT);
	sigaddset(&handled, SIGQUIT);
	sigprocmask(SIG_BLOCK, &handled, &before);
	/* Where a caller had it ignored, the kernel would reap the command without telling us. */
	signal(SIGCHLD, SIG_DFL);
	pid_t pid = fork();
	if (!pid)
		exec_command(command, index, &before);
	int status = STATUS_CAPTIVE_FAILED;
	if (pid < 0)
		say_error("cannot fork: %m");
	else
		status = wait_for_command(pid, &handled);
	status = detach_after(index, status);
	/* The server takes this as the order to detach, now or when the device is free. */
	close(link);
	return status;
}
