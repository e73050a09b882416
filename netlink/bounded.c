/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block device whose server is dead puts those who open, sync or close it to sleep beyond the
 * reach of every signal. A thread in that sleep cannot be abandoned: the process could not exit,
 * its parent would wait for it, and the descriptors it shares (sockets, the lock of the records)
 * would stay open. A process can: it is given no descriptor of ours, belongs to init from the
 * start, and ends by itself once the device is disconnected and its system call fails.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backoff.h"
#include "bounded.h"
#include "cleanup.h"

/*
 * A fork without exit signal: the program that uses this library sees no SIGCHLD, and its
 * waitpid(-1) takes nothing away. All arguments are zero, so that their order, which some machines
 * swap, does not matter.
 */
static pid_t fork_silently(void)
{
	return (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0);
}

/* Room for one descriptor (unix(7), SCM_RIGHTS), aligned as the kernel wants it. */
union ancillary {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

static void add_descriptor(struct msghdr *message, union ancillary *ancillary, int fd)
{
	message->msg_control = ancillary;
	message->msg_controllen = sizeof(*ancillary);
	ancillary->header.cmsg_level = SOL_SOCKET;
	ancillary->header.cmsg_type = SCM_RIGHTS;
	ancillary->header.cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(&ancillary->header), &fd, sizeof(fd));
}

/* Nobody may be listening any more. */
static int send_result(int channel, int result)
{
	struct iovec part = { .iov_base = &result, .iov_len = sizeof(result) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	union ancillary ancillary = { 0 };

	if (result > 0)
		add_descriptor(&message, &ancillary, result);
	return sendmsg(channel, &message, MSG_NOSIGNAL) == sizeof(result) ? 0 : -EPIPE;
}

static int receive_result(int channel)
{
	int result = 0, fd = -1;
	struct iovec part = { .iov_base = &result, .iov_len = sizeof(result) };
	union ancillary ancillary = { 0 };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &ancillary,
		.msg_controllen = sizeof(ancillary),
	};

	if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) != sizeof(result))
		return -EIO;
	if (result <= 0)
		return result;
	/* A process that may open no more descriptors gets none. */
	if (!CMSG_FIRSTHDR(&message))
		return -EMFILE;
	memcpy(&fd, CMSG_DATA(&ancillary.header), sizeof(fd));
	return fd;
}

/* Runs in the process that may be left behind: nothing of the caller may stay in use by it. */
static void run_detached(int (*work)(const void *arg), const void *arg, int channel)
{
	/* A folder kept as working directory would keep its filesystem mounted; / always is. */
	if (chdir("/") || dup2(channel, 0) < 0)
		_exit(1);
	closefrom(1);
	_exit(send_result(0, work(arg)) != 0);
}

/* Forks twice: the first process ends at once and is waited for, the second is then init's. */
static int start_detached(int (*work)(const void *arg), const void *arg, int channel)
{
	sigset_t all, before;
	int status;

	/* Until it has ended, the new process would run the caller's signal handlers. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t first = fork_silently();
	if (first == 0) {
		pid_t second = fork_silently();
		if (second == 0)
			run_detached(work, arg, channel);
		_exit(second < 0);
	}
	int result = first < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (result)
		return result;
	while (waitpid(first, &status, (int)__WCLONE) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EAGAIN;
}

static int await_result(int fd, int64_t milliseconds)
{
	const struct backoff limit = backoff_start(milliseconds);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	int ready;

	do {
		int64_t left = backoff_left(&limit);

		ready = poll(&wait, 1, left < INT32_MAX ? (int)left : INT32_MAX);
	} while (ready < 0 && errno == EINTR);
	if (ready < 0)
		return -errno;
	return ready ? receive_result(fd) : -ETIMEDOUT;
}

int bounded_run(int (*work)(const void *arg), const void *arg, int64_t milliseconds)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return -errno;
	CLEANUP_CLOSE int ours = ends[0];
	int result = start_detached(work, arg, ends[1]);
	close(ends[1]);
	return result ? result : await_result(ours, milliseconds);
}
