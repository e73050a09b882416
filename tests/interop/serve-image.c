/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serves image files on a Unix socket, one thread for each client, until SIGTERM: the library's
 * server for the tests. Usage: serve-image [--read-only] [--direct-io] [--block-size N]
 * [--connections-limit N] [--tls on|require] [--tls-certificates FOLDER] [--tls-psk FILE]
 * [--tls-verify-peer] SOCKET NAME=FILE…
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "nbdtools.h"

#define MAX_EXPORTS 16
#define DEFAULT_LIMIT 64 /* clients at a time */

struct service {
	struct nbdt_server *server;
	struct nbdt_device *devices[MAX_EXPORTS];
	size_t device_count;
	struct nbdt_file_options options;
	struct nbdt_server_options server_options;
	struct nbdt_tls_options tls;
	unsigned int limit;
	unsigned int active;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

struct client {
	struct service *service;
	int socket;
};

static int fail(const char *what, const struct nbdt_error *err)
{
	fprintf(stderr, "serve-image: %s: %s\n", what, err ? err->text : strerror(errno));
	return 1;
}

static int add_export(struct service *service, char *operand)
{
	char *file = strchr(operand, '=');
	struct nbdt_error err;

	if (!file || service->device_count == MAX_EXPORTS) {
		errno = EINVAL;
		return fail(operand, NULL);
	}
	*file++ = '\0';
	struct nbdt_device **device = &service->devices[service->device_count];
	if (nbdt_device_open_file(file, &service->options, device, NULL, &err))
		return fail(file, &err);
	service->device_count++;
	char description[64];
	snprintf(description, sizeof(description), "test image %zu", service->device_count);
	if (nbdt_server_add_export(service->server, operand, description, *device, &err))
		return fail(operand, &err);
	return 0;
}

static void *serve(void *arg)
{
	struct client *client = arg;
	struct service *service = client->service;
	struct nbdt_error err;

	if (nbdt_server_serve(service->server, client->socket, &err))
		fail("client", &err);
	free(client);
	pthread_mutex_lock(&service->lock);
	service->active--;
	pthread_cond_signal(&service->changed);
	pthread_mutex_unlock(&service->lock);
	return NULL;
}

static void start_client(struct service *service, int socket)
{
	struct client *client = malloc(sizeof(*client));
	pthread_t thread;

	if (!client) {
		close(socket);
		return;
	}
	client->service = service;
	client->socket = socket;
	pthread_mutex_lock(&service->lock);
	while (service->active >= service->limit)
		pthread_cond_wait(&service->changed, &service->lock);
	service->active++;
	pthread_mutex_unlock(&service->lock);
	if (pthread_create(&thread, NULL, serve, client)) {
		serve(client);
		return;
	}
	pthread_detach(thread);
}

static int listen_on(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 64)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void accept_until_signal(struct service *service, int listener, int signals)
{
	struct pollfd fds[] = {
		{ .fd = listener, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};

	while (poll(fds, 2, -1) >= 0 && !fds[1].revents) {
		int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (socket >= 0)
			start_client(service, socket);
	}
}

static void wait_for_clients(struct service *service)
{
	pthread_mutex_lock(&service->lock);
	while (service->active)
		pthread_cond_wait(&service->changed, &service->lock);
	pthread_mutex_unlock(&service->lock);
}

static int run(struct service *service, const char *path)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	int signals = signalfd(-1, &set, SFD_CLOEXEC);
	int listener = listen_on(path);
	if (listener < 0 || signals < 0)
		return fail(path, NULL);
	accept_until_signal(service, listener, signals);
	close(listener);
	unlink(path);
	nbdt_server_stop(service->server);
	wait_for_clients(service);
	close(signals);
	return 0;
}

static int read_options(struct service *service, int argc, char **argv)
{
	static const struct option options[] = {
		{ "read-only", no_argument, NULL, 'r' },
		{ "direct-io", no_argument, NULL, 'd' },
		{ "block-size", required_argument, NULL, 'b' },
		{ "connections-limit", required_argument, NULL, 'l' },
		{ "tls", required_argument, NULL, 't' },
		{ "tls-certificates", required_argument, NULL, 'c' },
		{ "tls-psk", required_argument, NULL, 'p' },
		{ "tls-verify-peer", no_argument, NULL, 'v' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			service->options.read_only = true;
			break;
		case 'd':
			service->options.direct_io = true;
			break;
		case 'b':
			service->options.block_size = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'l':
			service->limit = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 't':
			service->server_options.tls =
				strcmp(optarg, "on") ? NBDT_TLS_REQUIRE : NBDT_TLS_ON;
			break;
		case 'c':
			service->tls.certificates = optarg;
			break;
		case 'p':
			service->tls.psk_file = optarg;
			break;
		case 'v':
			service->tls.verify_peer = true;
			break;
		default:
			return 2;
		}
	}
	if (optind + 2 > argc) {
		fputs("Usage: serve-image [OPTION]… SOCKET NAME=FILE…\n", stderr);
		return 2;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct service service = {
		.limit = DEFAULT_LIMIT,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	struct nbdt_error err;

	int status = read_options(&service, argc, argv);
	if (status)
		return status;
	service.server_options.tls_options = &service.tls;
	if (nbdt_server_new(&service.server_options, &service.server, &err))
		return fail("server", &err);
	for (int i = optind + 1; !status && i < argc; i++)
		status = add_export(&service, argv[i]);
	if (!status)
		status = run(&service, argv[optind]);
	nbdt_server_free(service.server);
	for (size_t i = 0; i < service.device_count; i++)
		nbdt_device_close(service.devices[i]);
	return status;
}
