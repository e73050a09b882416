/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting with deadlines, whole messages, and the plain transport. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "transport.h"

#define LARGE (4u * 1024 * 1024)

struct fixture {
	struct transport *transport;
	int other; /* the other end, blocking */
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	fixture->transport = transport_plain(pair[0]);
	fixture->other = pair[1];
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	transport_close(fixture->transport);
	if (fixture->other >= 0)
		close(fixture->other);
	free(fixture);
	return 0;
}

static void close_other(struct fixture *fixture)
{
	close(fixture->other);
	fixture->other = -1;
}

static int receive(struct fixture *fixture, void *buffer, size_t size)
{
	return transport_receive_all(fixture->transport, buffer, size, -1, deadline_after(50));
}

static void receive_never_waits(void **state)
{
	struct fixture *fixture = *state;
	char byte;

	assert_int_equal(
		fixture->transport->ops->receive(fixture->transport, &byte, 1), -EAGAIN);
	assert_false(fixture->transport->ops->pending(fixture->transport));
}

static void receive_takes_what_is_there(void **state)
{
	struct fixture *fixture = *state;
	char bytes[8];

	assert_int_equal(write(fixture->other, "abc", 3), 3);
	assert_int_equal(fixture->transport->ops->receive(fixture->transport, bytes, 8), 3);
	close_other(fixture);
	assert_int_equal(fixture->transport->ops->receive(fixture->transport, bytes, 8), 0);
}

static void whole_message_is_received(void **state)
{
	struct fixture *fixture = *state;
	char bytes[7] = "";

	assert_int_equal(write(fixture->other, "abcdefg", 7), 7);
	assert_int_equal(receive(fixture, bytes, 6), 0);
	assert_memory_equal(bytes, "abcdef", 7);
	assert_int_equal(receive(fixture, bytes, 1), 0);
	assert_int_equal(*bytes, 'g');
}

static void silence_times_out(void **state)
{
	char byte;

	assert_int_equal(receive(*state, &byte, 1), -ETIMEDOUT);
}

static void part_of_a_message_times_out(void **state)
{
	struct fixture *fixture = *state;
	char bytes[2];

	assert_int_equal(write(fixture->other, "a", 1), 1);
	assert_int_equal(receive(fixture, bytes, 2), -ETIMEDOUT);
}

static void end_before_a_message_differs_from_end_inside(void **state)
{
	struct fixture *fixture = *state;
	char bytes[2];

	assert_int_equal(write(fixture->other, "a", 1), 1);
	close_other(fixture);
	assert_int_equal(receive(fixture, bytes, 2), -ECONNRESET);
	assert_int_equal(receive(fixture, bytes, 2), -EPIPE);
}

static void wake_ends_the_wait(void **state)
{
	struct fixture *fixture = *state;
	int wake = eventfd(1, EFD_CLOEXEC);
	char byte;

	assert_int_equal(transport_receive_all(
				 fixture->transport, &byte, 1, wake, deadline_after(5000)),
		-EINTR);
	close(wake);
}

static void *read_slowly(void *arg)
{
	struct fixture *fixture = arg;
	unsigned char *all = malloc(LARGE);
	size_t done = 0;

	poll(NULL, 0, 30);
	while (done < LARGE) {
		ssize_t got = read(fixture->other, all + done, LARGE - done);
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	bool right = done == LARGE;
	for (size_t i = 0; right && i < LARGE; i++)
		right = all[i] == (unsigned char)(i % 251);
	free(all);
	return right ? fixture : NULL;
}

/* Larger than any socket buffer, in pieces of all kinds, empty ones included. */
static void whole_vector_is_sent(void **state)
{
	struct fixture *fixture = *state;
	unsigned char *all = malloc(LARGE);
	struct iovec vector[] = {
		{ all, 1 },
		{ all + 1, 0 },
		{ all + 1, 1000 },
		{ all + 1001, LARGE - 1002 },
		{ all + LARGE - 1, 1 },
		{ all, 0 },
	};
	pthread_t reader;
	void *right;

	for (size_t i = 0; i < LARGE; i++)
		all[i] = (unsigned char)(i % 251);
	assert_int_equal(pthread_create(&reader, NULL, read_slowly, fixture), 0);
	assert_int_equal(transport_send_all(
				 fixture->transport, vector, 6, -1, deadline_after(5000)),
		0);
	pthread_join(reader, &right);
	assert_non_null(right);
	free(all);
}

static void send_to_one_who_does_not_read_times_out(void **state)
{
	struct fixture *fixture = *state;
	unsigned char *all = calloc(1, LARGE);
	struct iovec vector = { all, LARGE };

	assert_int_equal(transport_send_all(
				 fixture->transport, &vector, 1, -1, deadline_after(50)),
		-ETIMEDOUT);
	free(all);
}

/* For a transport that never has to wait, but moves one byte in a millisecond. */
static ssize_t receive_slowly(struct transport *transport, void *buffer, size_t size)
{
	(void)transport;
	(void)size;
	*(char *)buffer = 's';
	poll(NULL, 0, 1);
	return 1;
}

static ssize_t send_slowly(struct transport *transport, const struct iovec *vector, int count)
{
	(void)transport;
	(void)vector;
	(void)count;
	poll(NULL, 0, 1);
	return 1;
}

/* Without the deadline, seconds would pass. */
static void steady_progress_is_bounded_by_the_deadline(void **state)
{
	static const struct transport_ops ops = { receive_slowly, send_slowly, NULL, NULL };
	static char bytes[20000];
	struct transport slow = { .ops = &ops, .fd = -1 };
	struct iovec vector = { bytes, sizeof(bytes) };

	(void)state;
	assert_int_equal(transport_receive_all(&slow, bytes, sizeof(bytes), -1, deadline_after(50)),
		-ETIMEDOUT);
	assert_int_equal(
		transport_send_all(&slow, &vector, 1, -1, deadline_after(50)), -ETIMEDOUT);
	/* What is whole is fine, late or not. */
	assert_int_equal(transport_receive_all(&slow, bytes, 1, -1, deadline_after(0)), 0);
}

/* SIGPIPE would end the test. */
static void send_to_one_who_left_is_an_error_and_no_signal(void **state)
{
	struct fixture *fixture = *state;
	struct iovec vector = { "a", 1 };

	signal(SIGPIPE, SIG_DFL);
	close_other(fixture);
	assert_int_equal(transport_send_all(
				 fixture->transport, &vector, 1, -1, deadline_after(50)),
		-EPIPE);
}

static void nothing_to_send_is_done_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct iovec vector = { NULL, 0 };

	assert_int_equal(
		transport_send_all(fixture->transport, NULL, 0, -1, deadline_after(50)), 0);
	assert_int_equal(
		transport_send_all(fixture->transport, &vector, 1, -1, deadline_after(50)), 0);
}

static void ignore_signal(int number)
{
	(void)number;
}

struct disturbance {
	pthread_t target;
	int fd;
};

static void *signal_and_then_send(void *arg)
{
	struct disturbance *disturbance = arg;

	for (int i = 0; i < 10; i++) {
		pthread_kill(disturbance->target, SIGUSR1);
		poll(NULL, 0, 5);
	}
	return write(disturbance->fd, "a", 1) == 1 ? disturbance : NULL;
}

static void signals_do_not_end_the_wait(void **state)
{
	struct fixture *fixture = *state;
	struct disturbance disturbance = { pthread_self(), fixture->other };
	const struct sigaction action = { .sa_handler = ignore_signal };
	pthread_t thread;
	char byte;

	sigaction(SIGUSR1, &action, NULL);
	assert_int_equal(pthread_create(&thread, NULL, signal_and_then_send, &disturbance), 0);
	assert_int_equal(transport_receive_all(
				 fixture->transport, &byte, 1, -1, deadline_after(5000)),
		0);
	pthread_join(thread, NULL);
}

static void released_descriptor_stays_open(void **state)
{
	struct fixture *fixture = *state;
	int fd = transport_release(fixture->transport);

	assert_int_equal(fixture->transport->fd, -1);
	transport_close(fixture->transport);
	fixture->transport = NULL;
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(fd);
}

static void closing_closes_the_descriptor(void **state)
{
	struct fixture *fixture = *state;
	char byte;

	transport_close(fixture->transport);
	fixture->transport = NULL;
	assert_int_equal(read(fixture->other, &byte, 1), 0);
}

static void deadlines_count_down(void **state)
{
	(void)state;
	assert_int_equal(deadline_left(DEADLINE_NEVER), -1);
	assert_int_equal(deadline_left(deadline_after(0)), 0);
	assert_int_equal(deadline_left(0), 0);
	int left = deadline_left(deadline_after(10000));
	assert_in_range(left, 5000, 10000);
	assert_int_equal(deadline_left(deadline_after(UINT32_MAX)), INT32_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(receive_never_waits),
		TEST(receive_takes_what_is_there),
		TEST(whole_message_is_received),
		TEST(silence_times_out),
		TEST(part_of_a_message_times_out),
		TEST(end_before_a_message_differs_from_end_inside),
		TEST(wake_ends_the_wait),
		TEST(whole_vector_is_sent),
		TEST(send_to_one_who_does_not_read_times_out),
		cmocka_unit_test(steady_progress_is_bounded_by_the_deadline),
		TEST(send_to_one_who_left_is_an_error_and_no_signal),
		TEST(nothing_to_send_is_done_at_once),
		TEST(signals_do_not_end_the_wait),
		TEST(released_descriptor_stays_open),
		TEST(closing_closes_the_descriptor),
		cmocka_unit_test(deadlines_count_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
