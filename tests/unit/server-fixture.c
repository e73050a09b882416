/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/sockios.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include <cmocka.h>

#include "server-fixture.h"
#include "wire.h"

int server_set_up(void **state)
{
	struct server_fixture *fixture = calloc(1, sizeof(*fixture));

	memory_device_init(&fixture->memory, MEMORY_SIZE);
	session_start(&fixture->session, &fixture->memory.device);
	fixture->fd = fixture->session.fd;
	*state = fixture;
	return 0;
}

int server_tear_down(void **state)
{
	struct server_fixture *fixture = *state;

	session_end(&fixture->session);
	memory_device_destroy(&fixture->memory);
	free(fixture);
	return 0;
}

struct memory_device *server_disconnect(struct server_fixture *fixture)
{
	session_join(&fixture->session);
	return &fixture->memory;
}

void server_reconnect(struct server_fixture *fixture)
{
	session_end(&fixture->session);
	session_start(&fixture->session, &fixture->memory.device);
	fixture->fd = fixture->session.fd;
}

void pause_briefly(void)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	nanosleep(&pause, NULL);
}

void await_reception(int fd)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 };
	int unread = 1;

	while (unread) {
		nanosleep(&pause, NULL);
		assert_int_equal(ioctl(fd, SIOCOUTQ, &unread), 0);
	}
}

uint32_t write_data(
	int fd, uint16_t flags, uint64_t offset, const void *data, uint32_t length)
{
	send_request(fd, flags, NBD_CMD_WRITE, 77, offset, length);
	send_bytes(fd, data, length);
	return receive_reply(fd, 77, NULL, 0);
}

uint32_t read_data(int fd, uint64_t offset, void *data, uint32_t length)
{
	send_request(fd, 0, NBD_CMD_READ, 78, offset, length);
	return receive_reply(fd, 78, data, length);
}

void send_batch(int fd, uint16_t type, uint32_t length, size_t count)
{
	unsigned char *batch = calloc(count, 28);

	for (size_t i = 0; i < count; i++) {
		wire_put32(batch + i * 28, NBD_REQUEST_MAGIC);
		wire_put32(batch + i * 28 + 4, type);
		wire_put64(batch + i * 28 + 8, i);
		wire_put32(batch + i * 28 + 24, length);
	}
	send_bytes(fd, batch, count * 28);
	free(batch);
}
