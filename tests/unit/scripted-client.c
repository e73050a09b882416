/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "scripted-client.h"
#include "wire.h"

/* Completes the requests that wait, last first, from a thread of its own. */
static void *complete_in_reverse(void *arg)
{
	struct memory_device *memory = arg;
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };

	while (!atomic_load(&memory->closing)) {
		pthread_mutex_lock(&memory->lock);
		if (atomic_load(&memory->held) >= atomic_load(&memory->hold)) {
			for (unsigned int i = atomic_exchange(&memory->held, 0); i-- > 0;)
				nbdt_request_complete(
					memory->waiting[i], atomic_load(&memory->result));
		}
		pthread_mutex_unlock(&memory->lock);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static int memory_finish(struct memory_device *memory, struct nbdt_request *request)
{
	if (!atomic_load(&memory->hold))
		return atomic_load(&memory->result);
	pthread_mutex_lock(&memory->lock);
	memory->waiting[atomic_fetch_add(&memory->held, 1)] = request;
	if (!memory->completer_started) {
		memory->completer_started = true;
		pthread_create(&memory->completer, NULL, complete_in_reverse, memory);
	}
	pthread_mutex_unlock(&memory->lock);
	return NBDT_PENDING;
}

static struct memory_device *begin(struct nbdt_device *device, const struct nbdt_request *request)
{
	struct memory_device *memory = (struct memory_device *)device;

	atomic_fetch_add(&memory->operations, 1);
	atomic_store(&memory->last_flags, request->flags);
	if ((uintptr_t)request->buffer % 4096)
		atomic_store(&memory->misaligned, true);
	return memory;
}

static int memory_pread(struct nbdt_device *device, struct nbdt_request *request)
{
	struct memory_device *memory = begin(device, request);

	memcpy(request->buffer, memory->bytes + request->offset, request->length);
	return memory_finish(memory, request);
}

static int memory_pwrite(struct nbdt_device *device, struct nbdt_request *request)
{
	struct memory_device *memory = begin(device, request);

	if (!atomic_load(&memory->result))
		memcpy(memory->bytes + request->offset, request->buffer, request->length);
	return memory_finish(memory, request);
}

static int memory_flush(struct nbdt_device *device, struct nbdt_request *request)
{
	struct memory_device *memory = (struct memory_device *)device;

	atomic_fetch_add(&memory->flushes, 1);
	return memory_finish(memory, request);
}

static int memory_zero(struct nbdt_device *device, struct nbdt_request *request)
{
	struct memory_device *memory = begin(device, request);

	if (!atomic_load(&memory->result))
		memset(memory->bytes + request->offset, 0, request->length);
	return memory_finish(memory, request);
}

static int memory_cache(struct nbdt_device *device, struct nbdt_request *request)
{
	return memory_finish(begin(device, request), request);
}

static uint64_t state_at(const struct memory_device *memory, uint64_t offset)
{
	static const unsigned char zeroes[MEMORY_GRAIN];
	uint64_t begin = offset / MEMORY_GRAIN * MEMORY_GRAIN;

	return memcmp(memory->bytes + begin, zeroes, MEMORY_GRAIN)
		? 0
		: NBDT_EXTENT_HOLE | NBDT_EXTENT_ZERO;
}

static int memory_extents(struct nbdt_device *device, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_extent *extents, size_t *count)
{
	struct memory_device *memory = (struct memory_device *)device;
	uint64_t end = offset + length;
	size_t used = 0;

	(void)flags;
	atomic_fetch_add(&memory->questions, 1);
	while (offset < end) {
		uint64_t next = offset / MEMORY_GRAIN * MEMORY_GRAIN + MEMORY_GRAIN;
		uint64_t state = state_at(memory, offset);

		next = next < end ? next : end;
		if (used && extents[used - 1].flags == state) {
			extents[used - 1].length += next - offset;
		} else if (used < *count) {
			extents[used].length = next - offset;
			extents[used++].flags = state;
		} else {
			break;
		}
		offset = next;
	}
	*count = used;
	return 0;
}

void memory_device_init(struct memory_device *memory, size_t size)
{
	memset(memory, 0, sizeof(*memory));
	memory->ops = (struct nbdt_device_ops){
		.name = "memory",
		.pread = memory_pread,
		.pwrite = memory_pwrite,
		.flush = memory_flush,
		.trim = memory_zero,
		.zero = memory_zero,
		.cache = memory_cache,
		.extents = memory_extents,
	};
	memory->device = (struct nbdt_device){
		.ops = &memory->ops,
		.size = size,
		.block_minimum = 1,
		.block_preferred = 4096,
		.block_maximum = NBDT_MAX_PAYLOAD,
	};
	memory->size = size;
	memory->bytes = calloc(1, size);
	pthread_mutex_init(&memory->lock, NULL);
}

void memory_device_destroy(struct memory_device *memory)
{
	atomic_store(&memory->closing, true);
	if (memory->completer_started)
		pthread_join(memory->completer, NULL);
	pthread_mutex_destroy(&memory->lock);
	free(memory->bytes);
}

static void *serve(void *arg)
{
	struct session *session = arg;

	if (session->export)
		session->result = nbdt_server_serve_transmission(
			session->server, session->export, session->server_end, NULL);
	else
		session->result =
			nbdt_server_serve(session->server, session->server_end, NULL);
	atomic_store(&session->ended, true);
	return NULL;
}

static int (*filter)(int fd);

void session_filter(int (*new_filter)(int fd))
{
	filter = new_filter;
}

void session_open(struct session *session, struct nbdt_server *server, const char *export)
{
	const struct timeval limit = { .tv_sec = 10 };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	if (filter && !export)
		pair[0] = filter(pair[0]);
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	session->server = server;
	session->export = export;
	session->fd = pair[0];
	session->server_end = pair[1];
	session->joined = false;
	atomic_store(&session->ended, false);
	assert_int_equal(pthread_create(&session->thread, NULL, serve, session), 0);
}

void session_start(struct session *session, struct nbdt_device *device)
{
	struct nbdt_server *server;

	assert_int_equal(nbdt_server_new(NULL, &server, NULL), 0);
	assert_int_equal(nbdt_server_add_export(server, "disk", NULL, device, NULL), 0);
	session_open(session, server, "disk");
}

int session_join(struct session *session)
{
	if (session->fd >= 0)
		close(session->fd);
	session->fd = -1;
	if (!session->joined)
		pthread_join(session->thread, NULL);
	session->joined = true;
	return session->result;
}

int session_end(struct session *session)
{
	int result = session_join(session);

	nbdt_server_free(session->server);
	return result;
}

void send_bytes(int fd, const void *data, size_t length)
{
	const unsigned char *at = data;

	while (length) {
		ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);
		assert_true(sent > 0);
		at += sent;
		length -= (size_t)sent;
	}
}

void receive_bytes(int fd, void *data, size_t length)
{
	unsigned char *at = data;

	while (length) {
		ssize_t received = recv(fd, at, length, 0);
		assert_true(received > 0);
		at += received;
		length -= (size_t)received;
	}
}

bool at_end(int fd)
{
	char byte;
	ssize_t received = recv(fd, &byte, 1, 0);

	assert_true(received <= 0);
	/* A close with unread input resets the connection. */
	return received == 0 || errno == ECONNRESET;
}

void greet(int fd, uint32_t client_flags)
{
	unsigned char greeting[18];
	unsigned char answer[4];

	receive_bytes(fd, greeting, sizeof(greeting));
	wire_put32(answer, client_flags);
	send_bytes(fd, answer, sizeof(answer));
}

void send_option(int fd, uint32_t option, const void *data, size_t length)
{
	struct nbd_option_header header;

	wire_put64(&header.magic, NBD_OPTS_MAGIC);
	wire_put32(&header.option, option);
	wire_put32(&header.length, (uint32_t)length);
	send_bytes(fd, &header, sizeof(header));
	send_bytes(fd, data, length);
}

uint32_t receive_option_reply(int fd, uint32_t option, void *data, size_t size, size_t *length)
{
	struct nbd_option_reply_header header;

	receive_bytes(fd, &header, sizeof(header));
	assert_true(wire_get64(&header.magic) == NBD_OPT_REPLY_MAGIC);
	assert_int_equal(wire_get32(&header.option), option);
	*length = wire_get32(&header.length);
	assert_true(*length <= size);
	receive_bytes(fd, data, *length);
	return wire_get32(&header.reply);
}

void send_information_option(
	int fd, uint32_t option, const char *name, const uint16_t *wishes, uint16_t count)
{
	unsigned char data[8192];
	size_t length = strlen(name);

	wire_put32(data, (uint32_t)length);
	memcpy(data + 4, name, length);
	length += 4;
	wire_put16(data + length, count);
	length += 2;
	for (unsigned int i = 0; i < count; i++, length += 2)
		wire_put16(data + length, wishes[i]);
	send_option(fd, option, data, length);
}

void send_request(
	int fd, uint16_t flags, uint16_t type, uint64_t cookie, uint64_t offset, uint32_t length)
{
	struct nbd_request_header header;

	wire_put32(&header.magic, NBD_REQUEST_MAGIC);
	wire_put16(&header.flags, flags);
	wire_put16(&header.type, type);
	wire_put64(&header.cookie, cookie);
	wire_put64(&header.offset, offset);
	wire_put32(&header.length, length);
	send_bytes(fd, &header, sizeof(header));
}

uint32_t receive_any_reply(int fd, uint64_t *cookie)
{
	struct nbd_simple_reply_header header;

	receive_bytes(fd, &header, sizeof(header));
	assert_int_equal(wire_get32(&header.magic), NBD_SIMPLE_REPLY_MAGIC);
	*cookie = wire_get64(&header.cookie);
	return wire_get32(&header.error);
}

uint32_t receive_reply(int fd, uint64_t cookie, void *payload, size_t length)
{
	uint64_t received;

	uint32_t error = receive_any_reply(fd, &received);
	assert_true(received == cookie);
	if (!error)
		receive_bytes(fd, payload, length);
	return error;
}

uint32_t ask(int fd, uint16_t flags, uint16_t type, uint64_t offset, uint32_t length)
{
	send_request(fd, flags, type, 0x1122334455667788, offset, length);
	return receive_reply(fd, 0x1122334455667788, NULL, 0);
}

bool in_step(int fd)
{
	char data[16];

	send_request(fd, 0, NBD_CMD_READ, 0xfeedface, 0, sizeof(data));
	return receive_reply(fd, 0xfeedface, data, sizeof(data)) == 0;
}
