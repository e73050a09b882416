/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that wait for storage: other threads do the waiting, so that no other request has to. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server-fixture.h"
#include "wire.h"

#define COLD (MEMORY_SIZE / 2) /* what lies from here on has to be waited for */
#define THREADS 16u

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool closed;
	unsigned int waiting;
	int result;
	atomic_bool asked_to_hurry;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static struct nbdt_device_ops quick;

static void wait_at_gate(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.waiting++;
	pthread_cond_broadcast(&gate.changed);
	while (gate.closed)
		pthread_cond_wait(&gate.changed, &gate.lock);
	gate.waiting--;
	pthread_mutex_unlock(&gate.lock);
}

static void set_gate(bool closed)
{
	pthread_mutex_lock(&gate.lock);
	gate.closed = closed;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

static void await_waiting(unsigned int count)
{
	pthread_mutex_lock(&gate.lock);
	while (gate.waiting < count)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static int slow_pread(struct nbdt_device *device, struct nbdt_request *request)
{
	if (request->offset < COLD)
		return quick.pread(device, request);
	if (request->flags & NBDT_REQUEST_NOWAIT) {
		atomic_store(&gate.asked_to_hurry, true);
		return -EAGAIN;
	}
	wait_at_gate();
	return gate.result ? gate.result : quick.pread(device, request);
}

static int slow_flush(struct nbdt_device *device, struct nbdt_request *request)
{
	if (request->flags & NBDT_REQUEST_NOWAIT)
		return -EAGAIN;
	wait_at_gate();
	return quick.flush(device, request);
}

static int set_up(void **state)
{
	server_set_up(state);
	struct server_fixture *fixture = *state;
	struct memory_device *memory = server_disconnect(fixture);

	quick = memory->ops;
	memory->ops.pread = slow_pread;
	memory->ops.flush = slow_flush;
	for (size_t i = 0; i < memory->size; i++)
		memory->bytes[i] = (unsigned char)(i / 512);
	server_reconnect(fixture);
	gate.result = 0;
	atomic_store(&gate.asked_to_hurry, false);
	set_gate(true);
	return 0;
}

static int tear_down(void **state)
{
	set_gate(false);
	return server_tear_down(state);
}

static void put_request(unsigned char *at, uint16_t type, uint64_t cookie, uint64_t offset)
{
	wire_put32(at, NBD_REQUEST_MAGIC);
	wire_put16(at + 4, 0);
	wire_put16(at + 6, type);
	wire_put64(at + 8, cookie);
	wire_put64(at + 16, offset);
	wire_put32(at + 24, type == NBD_CMD_FLUSH ? 0 : 512);
}

/* In one go: a request with cookie 0, cold READs with cookies from 1 on, and 99, which is quick. */
static void send_together(int fd, uint16_t first, unsigned int cold_reads)
{
	unsigned char messages[28 * 64];
	unsigned char *at = messages;

	if (first) {
		put_request(at, first, 0, 0);
		at += 28;
	}
	for (unsigned int i = 1; i <= cold_reads; i++, at += 28)
		put_request(at, NBD_CMD_READ, i, COLD + i * 512);
	put_request(at, NBD_CMD_READ, 99, 512);
	send_bytes(fd, messages, (size_t)(at + 28 - messages));
}

static void expect_quick_reply(int fd)
{
	unsigned char data[512];

	assert_int_equal(receive_reply(fd, 99, data, sizeof(data)), 0);
	assert_int_equal(data[0], 1);
}

static void expect_cold_replies(int fd, unsigned int count)
{
	bool answered[64] = { false };
	unsigned char data[512];
	uint64_t cookie;

	for (unsigned int i = 0; i < count; i++) {
		assert_int_equal(receive_any_reply(fd, &cookie), 0);
		assert_true(cookie <= count && cookie && !answered[cookie]);
		receive_bytes(fd, data, sizeof(data));
		assert_int_equal(data[0], (unsigned char)(COLD / 512 + cookie));
		answered[cookie] = true;
	}
}

static void read_that_waits_keeps_no_other_waiting(void **state)
{
	struct server_fixture *fixture = *state;

	send_together(fixture->fd, 0, 1);
	expect_quick_reply(fixture->fd);
	set_gate(false);
	expect_cold_replies(fixture->fd, 1);
}

static void as_many_as_there_are_threads_wait_at_a_time(void **state)
{
	enum { COUNT = 40 };
	struct server_fixture *fixture = *state;

	send_together(fixture->fd, 0, COUNT);
	expect_quick_reply(fixture->fd);
	await_waiting(THREADS);
	set_gate(false);
	expect_cold_replies(fixture->fd, COUNT);
}

static void flush_that_waits_keeps_no_read_waiting(void **state)
{
	struct server_fixture *fixture = *state;

	send_together(fixture->fd, NBD_CMD_FLUSH, 0);
	expect_quick_reply(fixture->fd);
	await_waiting(1);
	set_gate(false);
	assert_int_equal(receive_reply(fixture->fd, 0, NULL, 0), 0);
	assert_int_equal(atomic_load(&fixture->memory.flushes), 1);
}

/* The write itself does not wait, but the device needs a flush for FUA. */
static void rule_31_flush_for_fua_keeps_no_read_waiting(void **state)
{
	struct server_fixture *fixture = *state;
	unsigned char messages[2 * 28];

	put_request(messages, NBD_CMD_TRIM, 5, 0);
	wire_put16(messages + 4, NBD_CMD_FLAG_FUA);
	put_request(messages + 28, NBD_CMD_READ, 99, 512);
	send_bytes(fixture->fd, messages, 2 * 28);
	expect_quick_reply(fixture->fd);
	assert_int_equal(atomic_load(&fixture->memory.flushes), 0);
	set_gate(false);
	assert_int_equal(receive_reply(fixture->fd, 5, NULL, 0), 0);
	assert_int_equal(atomic_load(&fixture->memory.flushes), 1);
}

static void error_of_another_thread_is_told(void **state)
{
	struct server_fixture *fixture = *state;

	gate.result = -ENOMEM;
	send_together(fixture->fd, 0, 1);
	expect_quick_reply(fixture->fd);
	set_gate(false);
	assert_int_equal(receive_reply(fixture->fd, 1, NULL, 0), NBD_ENOMEM);
	assert_true(in_step(fixture->fd));
}

/* The thread of the connection does it: nobody else would have to wait. */
static void lone_request_may_wait(void **state)
{
	struct server_fixture *fixture = *state;
	unsigned char data[512];

	send_request(fixture->fd, 0, NBD_CMD_READ, 1, COLD, sizeof(data));
	await_waiting(1);
	set_gate(false);
	assert_int_equal(receive_reply(fixture->fd, 1, data, sizeof(data)), 0);
	assert_false(atomic_load(&gate.asked_to_hurry));
}

static void client_that_vanishes_is_outlived_by_its_requests(void **state)
{
	struct server_fixture *fixture = *state;

	send_together(fixture->fd, 0, THREADS + 4);
	expect_quick_reply(fixture->fd);
	await_waiting(THREADS);
	close(fixture->fd);
	fixture->session.fd = fixture->fd = -1;
	pause_briefly();
	assert_false(atomic_load(&fixture->session.ended));
	set_gate(false);
	session_join(&fixture->session);
}

static void rule_42_stopped_server_answers_what_still_waits(void **state)
{
	enum { COUNT = 20 };
	struct server_fixture *fixture = *state;

	send_together(fixture->fd, 0, COUNT);
	expect_quick_reply(fixture->fd);
	await_waiting(THREADS);
	nbdt_server_stop(fixture->session.server);
	pause_briefly();
	set_gate(false);
	expect_cold_replies(fixture->fd, COUNT);
	assert_true(at_end(fixture->fd));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(read_that_waits_keeps_no_other_waiting),
		TEST(as_many_as_there_are_threads_wait_at_a_time),
		TEST(flush_that_waits_keeps_no_read_waiting),
		TEST(rule_31_flush_for_fua_keeps_no_read_waiting),
		TEST(error_of_another_thread_is_told),
		TEST(lone_request_may_wait),
		TEST(client_that_vanishes_is_outlived_by_its_requests),
		TEST(rule_42_stopped_server_answers_what_still_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
