/* SPDX-License-Identifier: Apache-2.0 */
/* The server: its exports, and serving and stopping its clients. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "nbd-protocol.h"
#include "server-connection.h"
#include "server.h"
#include "tls.h"
#include "utf8.h"

#define HANDSHAKE_TIMEOUT 10000 /* milliseconds */
#define MEMORY_LIMIT ((size_t)64 * 1024 * 1024)
#define BLOCK_MINIMUM_LIMIT (64u * 1024) /* bytes ("Size constraints") */

static void set_options(struct nbdt_server *server, const struct nbdt_server_options *options)
{
	if (options)
		server->options = *options;
	if (!server->options.handshake_timeout)
		server->options.handshake_timeout = HANDSHAKE_TIMEOUT;
	if (!server->options.memory_limit)
		server->options.memory_limit = MEMORY_LIMIT;
}

static int read_credentials(struct nbdt_server *server, struct nbdt_error *err)
{
	static const struct nbdt_tls_options none = { 0 };
	const struct nbdt_tls_options *options = server->options.tls_options;

	server->options.tls_options = NULL;
	if (server->options.tls == NBDT_TLS_OFF)
		return 0;
	return tls_credentials_new(true, options ? options : &none, &server->credentials, err);
}

int nbdt_server_new(const struct nbdt_server_options *options, struct nbdt_server **server,
	struct nbdt_error *err)
{
	struct nbdt_server *new = calloc(1, sizeof(*new));

	if (!new)
		return nbdt_error_errno(err, -ENOMEM, "cannot make a server");
	new->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (new->stop_fd < 0) {
		int result = nbdt_error_errno(err, -errno, "cannot make a server");
		free(new);
		return result;
	}
	pthread_mutex_init(&new->lock, NULL);
	set_options(new, options);
	int result = read_credentials(new, err);
	if (result)
		nbdt_server_free(new);
	else
		*server = new;
	return result;
}

/* "Size constraints". */
static int check_device(const struct nbdt_device *device, const char *name, struct nbdt_error *err)
{
	uint32_t minimum = device->block_minimum;
	uint32_t preferred = device->block_preferred;

	if (!minimum || minimum & (minimum - 1) || minimum > BLOCK_MINIMUM_LIMIT ||
		preferred & (preferred - 1) || preferred < 512 || preferred < minimum ||
		device->block_maximum < preferred)
		return nbdt_error_set(err, -EINVAL,
			"export \"%s\": the device's block sizes %u, %u and %u are not possible",
			name, minimum, preferred, device->block_maximum);
	if (nbdt_device_size(device) > INT64_MAX)
		return nbdt_error_set(
			err, -EINVAL, "export \"%s\": the device is over 2^63 - 1 bytes", name);
	return 0;
}

static int check_export(const struct nbdt_server *server, const char *name,
	const char *description, struct nbdt_error *err)
{
	if (strlen(name) > NBDT_MAX_STRING || !utf8_valid(name, strlen(name)))
		return nbdt_error_set(err, -EINVAL,
			"export name \"%.100s\" is over %u bytes or not UTF-8", name,
			NBDT_MAX_STRING);
	if (description && (strlen(description) > NBDT_MAX_STRING ||
		!utf8_valid(description, strlen(description))))
		return nbdt_error_set(err, -EINVAL,
			"description of export \"%.100s\" is over %u bytes or not UTF-8", name,
			NBDT_MAX_STRING);
	for (size_t i = 0; i < server->export_count; i++) {
		if (!strcmp(server->exports[i].name, name))
			return nbdt_error_set(
				err, -EEXIST, "there is an export \"%.100s\" already", name);
	}
	return 0;
}

int nbdt_server_add_export(struct nbdt_server *server, const char *name, const char *description,
	struct nbdt_device *device, struct nbdt_error *err)
{
	int result = check_export(server, name, description, err);
	if (!result)
		result = check_device(device, name, err);
	if (result)
		return result;
	struct server_export *exports = reallocarray(
		server->exports, server->export_count + 1, sizeof(server->exports[0]));
	if (!exports)
		return nbdt_error_errno(err, -ENOMEM, "export \"%s\"", name);
	server->exports = exports;
	struct server_export *export = &exports[server->export_count];
	export->device = device;
	export->name = strdup(name);
	export->description = description ? strdup(description) : NULL;
	if (!export->name || (description && !export->description)) {
		free(export->name);
		free(export->description);
		return nbdt_error_errno(err, -ENOMEM, "export \"%s\"", name);
	}
	server->export_count++;
	return 0;
}

const struct server_export *server_find_export(
	const struct nbdt_server *server, const char *name, size_t length)
{
	for (size_t i = 0; i < server->export_count; i++) {
		const struct server_export *export = &server->exports[i];

		if (strlen(export->name) == length && !memcmp(export->name, name, length))
			return export;
	}
	/* The first export is the default one, unless an export has the empty name. */
	return length == 0 && server->export_count ? &server->exports[0] : NULL;
}

uint16_t server_flags(const struct nbdt_device *device, enum message_style style)
{
	unsigned int flags = nbdt_device_flags(device);

	/* "MUST leave this flag clear if structured replies have not been negotiated". */
	if (style != STYLE_SIMPLE)
		flags |= NBD_FLAG_SEND_DF;
	return (uint16_t)flags;
}

uint32_t server_block_maximum(const struct nbdt_device *device)
{
	return device->block_maximum < NBDT_MAX_PAYLOAD ? device->block_maximum : NBDT_MAX_PAYLOAD;
}

/* A socket that cannot be served is closed all the same. */
static struct transport *open_transport(int socket, struct nbdt_error *err)
{
	struct transport *transport = transport_plain(socket);

	if (!transport) {
		nbdt_error_errno(err, -ENOMEM, "cannot serve a client");
		close(socket);
	}
	return transport;
}

static int shake_hands(struct nbdt_server *server, struct transport **transport,
	struct server_choice *choice, struct nbdt_error *err)
{
	struct newcomer newcomer = { .socket = (*transport)->fd };

	server_enter(server, &newcomer);
	int result = server_handshake(server, transport, choice, err);
	if (!server_leave(server, &newcomer) || choice->export)
		return result;
	return nbdt_error_set(err, -EUSERS,
		"a client in the handshake had to make room for another");
}

int nbdt_server_serve(struct nbdt_server *server, int socket, struct nbdt_error *err)
{
	struct server_choice choice = { 0 };
	struct transport *transport = open_transport(socket, err);

	if (!transport)
		return -ENOMEM;
	int result = 0;
	if (!atomic_load(&server->stopping))
		result = shake_hands(server, &transport, &choice, err);
	if (choice.export) {
		result = server_transmission(server, transport, &choice, err);
		server_dismiss(server);
	}
	transport_close(transport);
	return result;
}

int nbdt_server_serve_transmission(
	struct nbdt_server *server, const char *name, int socket, struct nbdt_error *err)
{
	/* Whoever skips the handshake knows the block sizes from the device itself. */
	const struct server_choice choice = {
		.export = server_find_export(server, name, strlen(name)),
		.block_sizes = true,
	};

	if (!choice.export) {
		close(socket);
		return nbdt_error_set(err, -ENXIO, "there is no export \"%s\"", name);
	}
	struct transport *transport = open_transport(socket, err);
	if (!transport)
		return -ENOMEM;
	int result = server_transmission(server, transport, &choice, err);
	transport_close(transport);
	return result;
}

void nbdt_server_stop(struct nbdt_server *server)
{
	atomic_store(&server->stopping, true);
	eventfd_write(server->stop_fd, 1);
}

unsigned int nbdt_server_oldest_request(struct nbdt_server *server)
{
	unsigned int oldest = 0;

	pthread_mutex_lock(&server->lock);
	for (struct connection *at = server->connections; at; at = at->next) {
		unsigned int age = connection_oldest_request(at);

		if (age > oldest)
			oldest = age;
	}
	pthread_mutex_unlock(&server->lock);
	return oldest;
}

void nbdt_server_free(struct nbdt_server *server)
{
	if (!server)
		return;
	for (size_t i = 0; i < server->export_count; i++) {
		free(server->exports[i].name);
		free(server->exports[i].description);
	}
	free(server->exports);
	tls_credentials_free(server->credentials);
	close(server->stop_fd);
	pthread_mutex_destroy(&server->lock);
	free(server);
}
