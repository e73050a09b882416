/* SPDX-License-Identifier: Apache-2.0 */
/* Loopback: a device of this process, served over socketpairs to this machine's own kernel. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nbdtools.h"

#define MAX_CONNECTIONS 128

/*
 * The kernel's end of a socketpair. On 6.12 and 6.13 a send that a full buffer interrupts in the
 * middle can kill the link when a signal reaches the writer; a buffer that holds a whole request
 * is never interrupted.
 */
#define KERNEL_SEND_BUFFER (4 * 1024 * 1024)

/*
 * The largest request that we let the kernel send. Kernels before 6.12 default to 128 KiB, which
 * halves the speed of large reads.
 */
#define MAX_REQUEST (1024u * 1024)

/*
 * What a connection can use without waiting for memory: some requests of the largest size, or all
 * of the kernel's 128 with 32 KiB each.
 */
#define LOCKED_MEMORY ((size_t)4 * MAX_REQUEST)

/* Serving needs little stack; it is locked in memory, so it should not be the default 8 MiB. */
#define STACK_SIZE (256 * 1024)

struct connection {
	struct nbdt_loopback *loopback;
	pthread_t thread;
	int socket; /* the server's end; owned by the thread once it runs */
};

struct nbdt_loopback {
	struct nbdt_device *device;
	struct nbdt_server *server;
	struct nbdt_attachment attachment;
	uint32_t block_size;
	uint64_t timeout; /* seconds, that the kernel gives a request */
	bool timeout_off; /* for now: see nbdt_loopback_supervise() */
	int ended; /* eventfd, written by the last thread */
	atomic_uint serving;
	unsigned int connection_count; /* threads that were started */
	struct connection connections[];
};

static void *serve_connection(void *arg)
{
	struct connection *connection = arg;
	struct nbdt_loopback *loopback = connection->loopback;

	nbdt_server_serve_transmission(loopback->server, "", connection->socket, NULL);
	if (atomic_fetch_sub(&loopback->serving, 1) == 1)
		eventfd_write(loopback->ended, 1);
	return NULL;
}

static int start_thread(struct connection *connection, struct nbdt_error *err)
{
	pthread_attr_t attributes;

	int result = pthread_attr_init(&attributes);
	if (!result) {
		pthread_attr_setstacksize(&attributes, STACK_SIZE);
		result = pthread_create(
			&connection->thread, &attributes, serve_connection, connection);
		pthread_attr_destroy(&attributes);
	}
	if (result)
		return nbdt_error_errno(err, -result, "cannot start a serving thread");
	return 0;
}

/* Starts serving one end of a new socketpair; *KERNEL_END is the other. */
static int start_connection(struct nbdt_loopback *loopback, int *kernel_end, struct nbdt_error *err)
{
	struct connection *connection = &loopback->connections[loopback->connection_count];
	const int size = KERNEL_SEND_BUFFER;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return nbdt_error_errno(err, -errno, "cannot make a socketpair");
	/* FORCE passes the system's limit and needs privileges, as attaching does anyway. */
	if (setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	connection->loopback = loopback;
	connection->socket = pair[1];
	atomic_fetch_add(&loopback->serving, 1);
	int result = start_thread(connection, err);
	if (result) {
		atomic_fetch_sub(&loopback->serving, 1);
		close(pair[0]);
		close(pair[1]);
		return result;
	}
	loopback->connection_count++;
	*kernel_end = pair[0];
	return 0;
}

/* By ioctls because that was asked for, or because there is no other way. */
static int choose_ioctl(
	const struct nbdt_loopback_config *config, bool *ioctl, struct nbdt_error *err)
{
	int result = nbdt_kernel_load_module(err);
	if (result)
		return result;
	int netlink = config->ioctl ? 0 : nbdt_kernel_has_netlink(err);
	*ioctl = !netlink;
	return netlink < 0 ? netlink : 0;
}

static int attach_sockets(struct nbdt_loopback *loopback,
	const struct nbdt_loopback_config *config, const int *sockets, struct nbdt_error *err)
{
	bool ioctl;

	int result = choose_ioctl(config, &ioctl, err);
	if (result)
		return result;
	uint64_t size = nbdt_device_size(config->device);
	struct nbdt_attach_config attach = {
		.kernel = {
			.index = config->index,
			.sockets = sockets,
			.socket_count = loopback->connection_count,
			.size = size - size % loopback->block_size,
			.block_size = loopback->block_size,
			.timeout = config->timeout,
			.server_flags = nbdt_device_flags(config->device),
		},
		.max_request = MAX_REQUEST,
		.ioctl = ioctl,
		.record = config->record,
		.lock = config->lock,
		.reserved = config->reserved,
		.reserved_count = config->reserved_count,
	};

	if (attach.max_request > config->device->block_maximum)
		attach.max_request = config->device->block_maximum;
	return nbdt_attach(&attach, &loopback->attachment, err);
}

/*
 * Opens the connections and gives their other ends to the kernel, which keeps references of its
 * own.
 */
static int start_and_attach(struct nbdt_loopback *loopback,
	const struct nbdt_loopback_config *config, struct nbdt_error *err)
{
	unsigned int wanted = config->connections ? config->connections : 1;
	int sockets[MAX_CONNECTIONS] = { 0 };
	int result = 0;

	while (!result && loopback->connection_count < wanted)
		result = start_connection(loopback, &sockets[loopback->connection_count], err);
	if (!result)
		result = attach_sockets(loopback, config, sockets, err);
	for (unsigned int i = 0; i < loopback->connection_count; i++)
		close(sockets[i]);
	return result;
}

static int make_server(struct nbdt_loopback *loopback, struct nbdt_error *err)
{
	const struct nbdt_server_options options = {
		.memory_limit = NBDT_MAX_PAYLOAD,
		.locked_memory = LOCKED_MEMORY,
	};

	int result = nbdt_server_new(&options, &loopback->server, err);
	if (!result)
		result = nbdt_server_add_export(
			loopback->server, "", NULL, loopback->device, err);
	return result;
}

static uint32_t choose_block_size(const struct nbdt_loopback_config *config)
{
	if (config->block_size)
		return config->block_size;
	return config->device->block_minimum > 512 ? config->device->block_minimum : 512;
}

int nbdt_loopback_start(const struct nbdt_loopback_config *config, struct nbdt_loopback **loopback,
	struct nbdt_error *err)
{
	if (config->connections > MAX_CONNECTIONS)
		return nbdt_error_set(err, -EINVAL, "%u connections are too many: at most %d",
			config->connections, MAX_CONNECTIONS);
	size_t connections = config->connections ? config->connections : 1;
	struct nbdt_loopback *new =
		calloc(1, sizeof(*new) + connections * sizeof(new->connections[0]));
	if (!new)
		return nbdt_error_errno(err, -ENOMEM, "loopback");
	new->device = config->device;
	new->timeout = config->timeout;
	new->block_size = choose_block_size(config);
	new->ended = eventfd(0, EFD_CLOEXEC);
	int result = new->ended < 0 ? nbdt_error_errno(err, -errno, "eventfd") : 0;
	if (!result)
		result = make_server(new, err);
	if (!result)
		result = start_and_attach(new, config, err);
	if (result) {
		nbdt_loopback_finish(new);
		return result;
	}
	*loopback = new;
	return 0;
}

int nbdt_loopback_index(const struct nbdt_loopback *loopback)
{
	return loopback->attachment.index;
}

const struct nbdt_attachment *nbdt_loopback_attachment(const struct nbdt_loopback *loopback)
{
	return &loopback->attachment;
}

struct nbdt_server *nbdt_loopback_server(struct nbdt_loopback *loopback)
{
	return loopback->server;
}

int nbdt_loopback_fd(const struct nbdt_loopback *loopback)
{
	return loopback->ended;
}

int nbdt_loopback_resize(struct nbdt_loopback *loopback, struct nbdt_error *err)
{
	uint64_t size = nbdt_device_size(loopback->device);
	struct nbdt_kernel_change change = {
		.size = &size,
		.identifier = loopback->attachment.identifier,
	};

	if (loopback->attachment.session)
		return nbdt_error_set(err, -EOPNOTSUPP,
			"a device attached by ioctl cannot change its size");
	size -= size % loopback->block_size;
	return nbdt_kernel_reconfigure(loopback->attachment.index, &change, err);
}

void nbdt_loopback_supervise(struct nbdt_loopback *loopback)
{
	const uint64_t off = 0;
	struct nbdt_kernel_change change = { .identifier = loopback->attachment.identifier };

	if (!loopback->timeout || loopback->connection_count > 1 || loopback->attachment.session)
		return;
	bool slow = nbdt_server_oldest_request(loopback->server) > loopback->timeout * 1000 / 3;
	if (slow == loopback->timeout_off)
		return;
	change.timeout = slow ? &off : &loopback->timeout;
	if (!nbdt_kernel_reconfigure(loopback->attachment.index, &change, NULL))
		loopback->timeout_off = slow;
}

void nbdt_loopback_finish(struct nbdt_loopback *loopback)
{
	if (!loopback)
		return;
	if (loopback->server)
		nbdt_server_stop(loopback->server);
	for (unsigned int i = 0; i < loopback->connection_count; i++)
		pthread_join(loopback->connections[i].thread, NULL);
	nbdt_attachment_release(&loopback->attachment);
	nbdt_server_free(loopback->server);
	if (loopback->ended >= 0)
		close(loopback->ended);
	free(loopback);
}
