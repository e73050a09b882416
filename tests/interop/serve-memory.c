/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An example of a device, written from what nbdtools.h says: memory that takes space only where
 * something was written. Served on a Unix socket until SIGTERM. Usage: serve-memory SOCKET SIZE
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nbdtools.h>

#define BLOCK ((uint64_t)4096) /* bytes */

struct memory {
	struct nbdt_device device;
	pthread_mutex_t lock;
	unsigned char **blocks; /* NULL: nothing is there, it reads as zeroes */
};

/* The part of a request that lies in one block. */
struct piece {
	unsigned char **block;
	uint64_t begin, length; /* bytes, in the block */
	uint64_t done;          /* bytes of the request before it */
};

/* The next piece after PIECE, which begins as all zeroes. False: there is none. */
static bool next_piece(
	const struct memory *memory, const struct nbdt_request *request, struct piece *piece)
{
	piece->done += piece->length;
	if (piece->done == request->length)
		return false;
	uint64_t offset = request->offset + piece->done;
	uint64_t left = request->length - piece->done;
	piece->block = &memory->blocks[offset / BLOCK];
	piece->begin = offset % BLOCK;
	piece->length = left < BLOCK - piece->begin ? left : BLOCK - piece->begin;
	return true;
}

/* Carries out WORK on every piece, under the lock. */
static int for_each_piece(struct nbdt_device *device, const struct nbdt_request *request,
	int (*work)(const struct piece *piece, const struct nbdt_request *request))
{
	struct memory *memory = (struct memory *)device;
	struct piece piece = { 0 };
	int result = 0;

	/* Another thread may hold the lock for long, while it zeroes all there is. */
	if (!(request->flags & NBDT_REQUEST_NOWAIT))
		pthread_mutex_lock(&memory->lock);
	else if (pthread_mutex_trylock(&memory->lock))
		return -EAGAIN;
	while (!result && next_piece(memory, request, &piece))
		result = work(&piece, request);
	pthread_mutex_unlock(&memory->lock);
	return result;
}

static int read_piece(const struct piece *piece, const struct nbdt_request *request)
{
	unsigned char *to = (unsigned char *)request->buffer + piece->done;

	if (*piece->block)
		memcpy(to, *piece->block + piece->begin, piece->length);
	else
		memset(to, 0, piece->length);
	return 0;
}

static int allocate(unsigned char **block)
{
	if (!*block)
		*block = calloc(1, BLOCK);
	return *block ? 0 : -ENOSPC;
}

static int write_piece(const struct piece *piece, const struct nbdt_request *request)
{
	if (allocate(piece->block))
		return -ENOSPC;
	memcpy(*piece->block + piece->begin, (unsigned char *)request->buffer + piece->done,
		piece->length);
	return 0;
}

/* A hint: what is less than a block stays as it is. */
static int trim_piece(const struct piece *piece, const struct nbdt_request *request)
{
	(void)request;
	if (piece->length == BLOCK) {
		free(*piece->block);
		*piece->block = NULL;
	}
	return 0;
}

static int zero_piece(const struct piece *piece, const struct nbdt_request *request)
{
	bool no_hole = request->flags & NBDT_REQUEST_NO_HOLE;

	if (piece->length == BLOCK && !no_hole)
		return trim_piece(piece, request);
	if (no_hole && allocate(piece->block))
		return -ENOSPC;
	if (*piece->block)
		memset(*piece->block + piece->begin, 0, piece->length);
	return 0;
}

static int memory_pread(struct nbdt_device *device, struct nbdt_request *request)
{
	return for_each_piece(device, request, read_piece);
}

static int memory_pwrite(struct nbdt_device *device, struct nbdt_request *request)
{
	return for_each_piece(device, request, write_piece);
}

static int memory_trim(struct nbdt_device *device, struct nbdt_request *request)
{
	return for_each_piece(device, request, trim_piece);
}

static int memory_zero(struct nbdt_device *device, struct nbdt_request *request)
{
	return for_each_piece(device, request, zero_piece);
}

/* There is nothing more persistent than where the data are already. */
static int memory_flush(struct nbdt_device *device, struct nbdt_request *request)
{
	(void)device;
	(void)request;
	return 0;
}

static int memory_extents(struct nbdt_device *device, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_extent *extents, size_t *count)
{
	struct memory *memory = (struct memory *)device;
	const struct nbdt_request range = { .offset = offset, .length = length };
	struct piece piece = { 0 };
	size_t limit = *count;

	(void)flags;
	*count = 0;
	pthread_mutex_lock(&memory->lock);
	while (next_piece(memory, &range, &piece)) {
		unsigned int kind = *piece.block ? 0 : NBDT_EXTENT_HOLE | NBDT_EXTENT_ZERO;

		if (*count && extents[*count - 1].flags == kind)
			extents[*count - 1].length += piece.length;
		else if (*count < limit)
			extents[(*count)++] = (struct nbdt_extent){ piece.length, kind };
		else
			break;
	}
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

static void memory_close(struct nbdt_device *device)
{
	struct memory *memory = (struct memory *)device;

	for (uint64_t i = 0; i < device->size / BLOCK; i++)
		free(memory->blocks[i]);
	free(memory->blocks);
	pthread_mutex_destroy(&memory->lock);
	free(memory);
}

static const struct nbdt_device_ops memory_ops = {
	.name = "memory",
	.pread = memory_pread,
	.pwrite = memory_pwrite,
	.flush = memory_flush,
	.trim = memory_trim,
	.zero = memory_zero,
	.extents = memory_extents,
	.close = memory_close,
};

/* SIZE in bytes; what does not fill a block is left out. */
static int memory_open(uint64_t size, struct nbdt_device **device, struct nbdt_error *err)
{
	struct memory *memory = calloc(1, sizeof(*memory));

	if (memory)
		memory->blocks = calloc(size / BLOCK + 1, sizeof(memory->blocks[0]));
	if (!memory || !memory->blocks) {
		free(memory);
		return nbdt_error_errno(err, -ENOMEM, "memory");
	}
	pthread_mutex_init(&memory->lock, NULL);
	memory->device = (struct nbdt_device){
		.ops = &memory_ops,
		.size = size / BLOCK * BLOCK,
		.block_minimum = 1,
		.block_preferred = (uint32_t)BLOCK,
		.block_maximum = NBDT_MAX_PAYLOAD,
		.can_fua = true,
		.can_multi_conn = true,
		.can_fast_zero = true,
	};
	*device = &memory->device;
	return 0;
}

static void set_up_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, signals, NULL);
}

static void *stop_at_signal(void *arg)
{
	sigset_t signals;
	int signal;

	set_up_signals(&signals);
	sigwait(&signals, &signal);
	nbdt_server_stop(arg);
	return NULL;
}

/* Until a signal comes. */
static int serve(struct nbdt_server *server, const char *path, struct nbdt_error *err)
{
	sigset_t signals;
	pthread_t stopper;

	set_up_signals(&signals);
	int listener = nbdt_listen_unix(path, err);
	if (listener < 0)
		return listener;
	if (pthread_create(&stopper, NULL, stop_at_signal, server))
		return nbdt_error_errno(err, -EAGAIN, "thread");
	int result = nbdt_server_accept(server, &listener, 1, NULL, NULL, err);
	unlink(path);
	if (!result)
		pthread_join(stopper, NULL);
	return result;
}

int main(int argc, char **argv)
{
	struct nbdt_device *device = NULL;
	struct nbdt_server *server = NULL;
	struct nbdt_error err;
	uint64_t size;

	if (argc != 3 || nbdt_parse_size(argv[2], &size)) {
		fputs("Usage: serve-memory SOCKET SIZE\n", stderr);
		return 2;
	}
	int result = memory_open(size, &device, &err);
	if (!result)
		result = nbdt_server_new(NULL, &server, &err);
	if (!result)
		result = nbdt_server_add_export(server, "memory", NULL, device, &err);
	if (!result)
		result = serve(server, argv[1], &err);
	if (result)
		fprintf(stderr, "serve-memory: %s\n", err.text);
	nbdt_server_free(server);
	nbdt_device_close(device);
	return result ? 1 : 0;
}
