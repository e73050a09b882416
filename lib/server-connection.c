/* SPDX-License-Identifier: Apache-2.0 */
/* Making and freeing a connection, and its slots. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server-connection.h"

static void add_to_server(struct connection *connection)
{
	struct nbdt_server *server = connection->server;

	pthread_mutex_lock(&server->lock);
	connection->next = server->connections;
	server->connections = connection;
	pthread_mutex_unlock(&server->lock);
}

static void remove_from_server(struct connection *connection)
{
	struct nbdt_server *server = connection->server;

	pthread_mutex_lock(&server->lock);
	struct connection **at = &server->connections;
	while (*at != connection)
		at = &(*at)->next;
	*at = connection->next;
	pthread_mutex_unlock(&server->lock);
}

static int allocate_memory(struct connection *connection)
{
	const struct nbdt_server_options *options = &connection->server->options;

	connection->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (connection->done_fd < 0)
		return -errno;
	connection->input = aligned_alloc(BUFFER_ALIGNMENT, CONNECTION_INPUT);
	if (!connection->input)
		return -ENOMEM;
	if (options->locked_memory) {
		memset(connection->input, 0, CONNECTION_INPUT);
		mlock(connection->input, CONNECTION_INPUT);
		mlock(connection, sizeof(*connection));
	}
	int result = workers_new(options->locked_memory > 0, &connection->workers);
	if (result)
		return result;
	return buffers_new(options->memory_limit, options->locked_memory, &connection->buffers);
}

int connection_new(struct nbdt_server *server, struct transport *transport,
	const struct server_choice *choice, struct connection **connection)
{
	struct connection *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	new->server = server;
	new->device = choice->export->device;
	new->transport = transport;
	new->readable = true;
	new->deadline = DEADLINE_NEVER;
	new->replies.last = &new->replies.first;
	request_rules_set(&new->rules, choice);
	for (size_t i = CONNECTION_SLOTS; i-- > 0;) {
		new->slots[i].connection = new;
		new->slots[i].next = new->free_slots;
		new->free_slots = &new->slots[i];
	}
	pthread_mutex_init(&new->done_lock, NULL);
	add_to_server(new);
	int result = allocate_memory(new);
	if (result) {
		connection_free(new);
		return result;
	}
	*connection = new;
	return 0;
}

void connection_free(struct connection *connection)
{
	remove_from_server(connection);
	workers_free(connection->workers);
	/* Whoever completed the last operation may still be about to leave the lock. */
	pthread_mutex_lock(&connection->done_lock);
	pthread_mutex_unlock(&connection->done_lock);
	pthread_mutex_destroy(&connection->done_lock);
	buffers_free(connection->buffers);
	if (connection->done_fd >= 0)
		close(connection->done_fd);
	free(connection->input);
	free(connection);
}

struct slot *slot_get(struct connection *connection)
{
	struct slot *slot = connection->free_slots;

	if (!slot)
		return NULL;
	connection->free_slots = slot->next;
	connection->used++;
	slot->next = NULL;
	slot->request.buffer = NULL;
	slot->flush_after = slot->flushing = false;
	slot->reason = NULL;
	slot->parts = NULL;
	return slot;
}

void slot_put(struct slot *slot)
{
	struct connection *connection = slot->connection;

	buffers_put(connection->buffers, slot->request.buffer);
	if (slot->parts != &slot->part)
		buffers_put(connection->buffers, slot->parts);
	slot->next = connection->free_slots;
	connection->free_slots = slot;
	connection->used--;
	if (connection->blocked)
		connection->unblocked = true;
	connection->blocked = false;
}
