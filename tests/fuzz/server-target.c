/* SPDX-License-Identifier: Apache-2.0 */
/* The server under test, against a client that may say anything. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "server-target.h"

#define MEMORY_SIZE (64 * 1024)
#define FILE_SIZE (256 * 1024)

/* A device in memory with large blocks, every other operation of which completes late. */
static unsigned char memory[MEMORY_SIZE];
static unsigned int operations;

static int finish(struct nbdt_request *request)
{
	fuzz_check(request->offset <= MEMORY_SIZE
			&& request->length <= MEMORY_SIZE - request->offset,
		"a request outside the device");
	if (operations++ % 2)
		return 0;
	nbdt_request_complete(request, 0);
	return NBDT_PENDING;
}

static int memory_pread(struct nbdt_device *device, struct nbdt_request *request)
{
	(void)device;
	fuzz_check((uintptr_t)request->buffer % 4096 == 0, "the buffer is not aligned");
	memcpy(request->buffer, memory + request->offset, request->length);
	return finish(request);
}

static int memory_pwrite(struct nbdt_device *device, struct nbdt_request *request)
{
	(void)device;
	fuzz_check((uintptr_t)request->buffer % 4096 == 0, "the buffer is not aligned");
	memcpy(memory + request->offset, request->buffer, request->length);
	return finish(request);
}

static int memory_nothing(struct nbdt_device *device, struct nbdt_request *request)
{
	(void)device;
	return finish(request);
}

/* Holes and data by turns, of 4096 bytes each. */
static int memory_extents(struct nbdt_device *device, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_extent *extents, size_t *count)
{
	size_t used = 0;

	(void)device, (void)flags;
	fuzz_check(length && offset <= MEMORY_SIZE && length <= MEMORY_SIZE - offset && *count,
		"a question about nothing, or outside the device");
	for (; used < *count && length; used++) {
		uint64_t size = 4096 - offset % 4096;

		size = size < length ? size : length;
		extents[used].length = size;
		extents[used].flags = offset / 4096 % 2 ? NBDT_EXTENT_ZERO : 0;
		offset += size;
		length -= size;
	}
	*count = used;
	return 0;
}

static const struct nbdt_device_ops memory_ops = {
	.name = "memory",
	.pread = memory_pread,
	.pwrite = memory_pwrite,
	.flush = memory_nothing,
	.trim = memory_nothing,
	.cache = memory_nothing,
	.extents = memory_extents,
};

static struct nbdt_device memory_device = {
	.ops = &memory_ops,
	.size = MEMORY_SIZE,
	.block_minimum = 4096,
	.block_preferred = 4096,
	.block_maximum = NBDT_MAX_PAYLOAD,
};

/* The first two lie in one file in memory, the last one is the device above. */
const char *const fuzz_exports[FUZZ_EXPORTS] = { "", "read-only", "blocks" };
static struct nbdt_device *file, *read_only_file;

static void open_files(void)
{
	const struct nbdt_file_options read_only = { .read_only = true, .offset = 512 };
	const struct nbdt_file_options usual = { 0 };
	char path[64];
	struct nbdt_error err = { 0 };
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	fuzz_check(fd >= 0 && !ftruncate(fd, FILE_SIZE), "cannot make a file");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fuzz_check(!nbdt_device_open_file(path, &usual, &file, NULL, &err), err.text);
	fuzz_check(!nbdt_device_open_file(path, &read_only, &read_only_file, NULL, &err), err.text);
	close(fd);
}

static void add_export(struct nbdt_server *server, const char *name, struct nbdt_device *device)
{
	fuzz_check(!nbdt_server_add_export(server, name, "an export", device, NULL), "add_export");
}

/* Anew for each input, so that none depends on what came before it. */
static struct nbdt_server *make_server(void)
{
	/* Milliseconds, never reached: all that will ever come is there. */
	const struct nbdt_server_options options = { .handshake_timeout = 60000 };
	struct nbdt_server *server;

	fuzz_check(!nbdt_server_new(&options, &server, NULL), "no server");
	add_export(server, fuzz_exports[0], file);
	add_export(server, fuzz_exports[1], read_only_file);
	add_export(server, fuzz_exports[2], &memory_device);
	operations = 0;
	return server;
}

/* Takes the replies, which may be more than a socket holds. */
static void *drain(void *arg)
{
	static unsigned char replies[1024 * 1024];
	const int *fd = arg;

	while (recv(*fd, replies, sizeof(replies), 0) > 0)
		;
	return NULL;
}

void fuzz_server(int export, const uint8_t *data, size_t size)
{
	struct nbdt_error err = { 0 };
	pthread_t drainer;
	int other, result;

	if (!file)
		open_files();
	struct nbdt_server *server = make_server();
	int fd = fuzz_socket(data, size, &other);
	fuzz_check(!pthread_create(&drainer, NULL, drain, &other), "no thread");
	if (export >= 0)
		result = nbdt_server_serve_transmission(server, fuzz_exports[export], fd, &err);
	else
		result = nbdt_server_serve(server, fd, &err);
	pthread_join(drainer, NULL);
	close(other);
	nbdt_server_free(server);
	if (result)
		fuzz_check_error(result, &err);
	fuzz_check(!result || result == -EPROTO || result == -ECONNRESET, "an unexpected error");
}
