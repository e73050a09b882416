/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending to generic netlink without being caught. The kernel executes a request inside sendto(),
 * under one mutex for all families. A DISCONNECT whose peer does not read can stay there for
 * ever, beyond the reach of SIGKILL (6.1, 7.3), and every later request of any process queues up
 * behind it, unkillable too. So requests that may meet this are sent by a child, on the socket
 * that both share; the answer arrives at the parent, which waits as long as it likes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel-internal.h"

#define ANSWER_LIMIT_MS 10000

static int send_message(int fd, const struct nlmsghdr *header)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t sent;

	do
		sent = sendto(fd, header, header->nlmsg_len, 0, (const struct sockaddr *)&kernel,
			sizeof(kernel));
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static void close_between(int first, int last)
{
	if (first <= last)
		close_range((unsigned int)first, (unsigned int)last, 0);
}

/*
 * The child's life. Only async-signal-safe calls: other threads may have held any lock. A stuck
 * child would keep open, among others, the server's end of the very socket it waits for, and the
 * lock of the records: it lets go of all first.
 */
_Noreturn static void send_from_child(int fd, int report, const struct nlmsghdr *header)
{
	int low = fd < report ? fd : report;
	int high = fd < report ? report : fd;

	close_between(0, low - 1);
	close_between(low + 1, high - 1);
	if (high < INT32_MAX)
		close_between(high + 1, INT32_MAX);
	int result = send_message(fd, header);
	if (result < 0 && write(report, &result, sizeof(result)) < 0)
		_exit(2);
	_exit(result < 0);
}

/*
 * A fork without exit signal: the program that uses this library sees no SIGCHLD, and its
 * waitpid(-1) takes nothing away. All arguments are zero, so their order, which differs between
 * machines, does not matter.
 */
static pid_t fork_silently(void)
{
	return (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0);
}

static int fork_sender(int fd, const struct nlmsghdr *header, struct genl_sending *sending)
{
	sigset_t all, before;
	int report[2];

	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	/* Or else the program's signal handlers would run in the child as well. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t pid = fork_silently();
	if (pid == 0)
		send_from_child(fd, report[1], header);
	int result = pid < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(report[1]);
	if (result < 0) {
		close(report[0]);
		return result;
	}
	sending->pid = pid;
	sending->report = report[0];
	return 0;
}

int genl_send(int fd, const struct nlmsghdr *header, bool isolated, struct genl_sending *sending)
{
	*sending = (struct genl_sending){ .report = -1 };
	return isolated ? fork_sender(fd, header, sending) : send_message(fd, header);
}

/* What the child had to say: a negative errno, or 0 when it closed the pipe without a word. */
static int take_report(struct genl_sending *sending)
{
	int code = 0;
	ssize_t got = read(sending->report, &code, sizeof(code));

	if (got == (ssize_t)sizeof(code))
		return code;
	close(sending->report);
	sending->report = -1;
	return 0;
}

int genl_wait(int fd, struct genl_sending *sending)
{
	const struct backoff limit = backoff_start(ANSWER_LIMIT_MS);

	for (;;) {
		struct pollfd wait[] = {
			{ .fd = fd, .events = POLLIN },
			{ .fd = sending->report, .events = POLLIN },
		};
		int ready = poll(wait, 2, (int)backoff_left(&limit));

		if (ready == 0)
			return -ETIMEDOUT;
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready < 0)
			return -errno;
		if (wait[0].revents)
			return 0;
		int result = take_report(sending);
		if (result < 0)
			return result;
	}
}

void genl_sent(struct genl_sending *sending, bool stuck)
{
	const int flags = (int)__WCLONE | (stuck ? WNOHANG : 0);

	if (sending->report >= 0)
		close(sending->report);
	if (sending->pid > 0)
		while (waitpid(sending->pid, NULL, flags) < 0 && errno == EINTR)
			;
	*sending = (struct genl_sending){ .report = -1 };
}
