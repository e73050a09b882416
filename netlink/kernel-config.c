/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of what is handed to the kernel: it answers most mistakes with EINVAL alone, and some
 * with success.
 */
#include <errno.h>
#include <linux/nbd.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel-internal.h"

/* Each socket is an item in one attribute, whose length has 16 bits. */
#define MAX_SOCKETS 1024
/* sysfs shows the identifier in one page, with a newline after it. */
#define MAX_IDENTIFIER 4000

/*
 * 6.18 and later stable kernels refuse all but TCP and Unix stream sockets; earlier ones break
 * later.
 */
static int check_socket_kind(int fd, size_t number, struct nbdt_error *err)
{
	int type = 0, domain = 0, protocol = 0;
	socklen_t length = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
		return nbdt_error_errno(err, -errno, "connection %zu", number);
	length = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0)
		return nbdt_error_errno(err, -errno, "connection %zu", number);
	length = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) < 0)
		return nbdt_error_errno(err, -errno, "connection %zu", number);
	bool unix_stream = domain == AF_UNIX && type == SOCK_STREAM;
	bool tcp = (domain == AF_INET || domain == AF_INET6) && protocol == IPPROTO_TCP;
	if (!unix_stream && !tcp)
		return nbdt_error_set(err, -EINVAL,
			"connection %zu: the kernel takes only TCP and Unix stream sockets",
			number);
	return 0;
}

static int check_sockets(const int *sockets, size_t count, struct nbdt_error *err)
{
	if (count > MAX_SOCKETS)
		return nbdt_error_set(err, -EINVAL, "%zu connections for one device: at most %d",
			count, MAX_SOCKETS);
	for (size_t i = 0; i < count; i++) {
		struct sockaddr_storage peer;
		socklen_t length = sizeof(peer);
		int result = check_socket_kind(sockets[i], i + 1, err);

		if (result < 0)
			return result;
		/* The kernel accepts an unconnected socket, and its I/O fails for ever after. */
		if (getpeername(sockets[i], (struct sockaddr *)&peer, &length) < 0)
			return nbdt_error_errno(err, -errno, "connection %zu", i + 1);
	}
	return 0;
}

static int check_block_size(uint32_t block_size, struct nbdt_error *err)
{
	/* Up to the page size, and from 6.15 on up to 64 KiB: the kernel knows which. */
	if (block_size < 512 || block_size > 65536 || (block_size & (block_size - 1)))
		return nbdt_error_set(err, -EINVAL,
			"block size %u: must be a power of two from 512 to the page size",
			block_size);
	return 0;
}

static int check_size(uint64_t size, struct nbdt_error *err)
{
	if (size > INT64_MAX)
		return nbdt_error_set(err, -EINVAL,
			"size %llu: a device holds less than 2^63 bytes", (unsigned long long)size);
	return 0;
}

static int check_identifier(const char *identifier, struct nbdt_error *err)
{
	if (!identifier)
		return 0;
	if (strlen(identifier) > MAX_IDENTIFIER || strchr(identifier, '\n'))
		return nbdt_error_set(err, -EINVAL,
			"backend identifier: at most %d bytes, without newlines", MAX_IDENTIFIER);
	return 0;
}

int kernel_check_config(const struct nbdt_kernel_config *config, struct nbdt_error *err)
{
	if (config->index < NBDT_INDEX_ANY)
		return nbdt_error_set(
			err, -EINVAL, "device number %d: not a number of a device", config->index);
	if (config->socket_count == 0)
		return nbdt_error_set(err, -EINVAL, "no connection to attach");
	if (config->socket_count > 1 && !(config->server_flags & NBD_FLAG_CAN_MULTI_CONN))
		return nbdt_error_set(err, -EINVAL,
			"%zu connections: the server does not announce that several are safe "
			"(NBD_FLAG_CAN_MULTI_CONN)",
			config->socket_count);
	int result = check_block_size(config->block_size, err);
	if (result == 0)
		result = check_size(config->size, err);
	/* The kernel would drop the tail of an odd size without a word. */
	if (result == 0 && config->size % config->block_size)
		result = nbdt_error_set(err, -EINVAL,
			"size %llu: not a multiple of the block size %u",
			(unsigned long long)config->size, config->block_size);
	if (result == 0)
		result = check_identifier(config->identifier, err);
	if (result == 0)
		result = check_sockets(config->sockets, config->socket_count, err);
	return result;
}

int kernel_check_change(const struct nbdt_kernel_change *change, struct nbdt_error *err)
{
	int result = change->block_size ? check_block_size(*change->block_size, err) : 0;

	if (result == 0 && change->size)
		result = check_size(*change->size, err);
	if (result == 0)
		result = check_identifier(change->identifier, err);
	if (result == 0)
		result = check_sockets(change->sockets, change->socket_count, err);
	return result;
}
