/* SPDX-License-Identifier: Apache-2.0 */
#include "background.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static void replace_by_null(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, fd);
	if (null != fd)
		close(null);
}

/*
 * Whatever the caller left open (a shell's pipes, a test's locks) would otherwise stay open as long
 * as the device is attached. The link becomes descriptor 3.
 */
static void close_inherited(int *link)
{
	replace_by_null(STDIN_FILENO);
	if (*link != STDERR_FILENO + 1) {
		dup3(*link, STDERR_FILENO + 1, O_CLOEXEC);
		*link = STDERR_FILENO + 1;
	}
	close_range(STDERR_FILENO + 2, ~0u, 0);
}

int background_fork(int *link)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid_t pid = fork();
	if (pid < 0) {
		int result = -errno;

		close(pair[0]);
		close(pair[1]);
		return result;
	}
	*link = pid ? pair[0] : pair[1];
	close(pid ? pair[1] : pair[0]);
	if (!pid) {
		setsid();
		close_inherited(link);
	}
	return pid;
}

int background_report(int link, const struct readiness *readiness)
{
	ssize_t sent = send(link, readiness, sizeof(*readiness), MSG_NOSIGNAL);

	return sent == sizeof(*readiness) ? 0 : -EPIPE;
}

struct readiness background_wait(int link)
{
	struct readiness readiness = { .status = STATUS_FAILED, .index = -1 };
	ssize_t got;

	do
		got = recv(link, &readiness, sizeof(readiness), MSG_WAITALL);
	while (got < 0 && errno == EINTR);
	if (got != sizeof(readiness)) {
		readiness.status = STATUS_FAILED;
		say_error("the background process died before it was ready");
	}
	return readiness;
}

void background_settle(void)
{
	say_to_syslog();
	replace_by_null(STDOUT_FILENO);
	replace_by_null(STDERR_FILENO);
	if (chdir("/"))
		say_warning("cannot change to /: %m");
}
