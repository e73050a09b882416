/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits on clients. Those in the handshake may be nobody: their number is limited by ending the
 * one that has been there longest, so that silent ones keep nobody else out. Those with an export
 * are limited by refusing it to others.
 */
#include <errno.h>
#include <sys/socket.h>

#include "server.h"

/* Under the server's lock. */
static void remove_newcomer(struct nbdt_server *server, const struct newcomer *newcomer)
{
	struct newcomer **at = &server->newcomers;

	while (*at && *at != newcomer)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = newcomer->next;
	server->newcomer_count--;
}

/* Under the lock, too. Its thread sees an end of the stream, and closes the socket. */
static void push_out_oldest(struct nbdt_server *server)
{
	struct newcomer *oldest = server->newcomers;

	if (!oldest)
		return;
	oldest->pushed_out = true;
	shutdown(oldest->socket, SHUT_RDWR);
	remove_newcomer(server, oldest);
}

void server_make_room(struct nbdt_server *server)
{
	pthread_mutex_lock(&server->lock);
	push_out_oldest(server);
	pthread_mutex_unlock(&server->lock);
}

void server_enter(struct nbdt_server *server, struct newcomer *newcomer)
{
	pthread_mutex_lock(&server->lock);
	if (server->newcomer_count == NEWCOMERS_MAXIMUM)
		push_out_oldest(server);
	struct newcomer **at = &server->newcomers;
	while (*at)
		at = &(*at)->next;
	*at = newcomer;
	server->newcomer_count++;
	pthread_mutex_unlock(&server->lock);
}

bool server_leave(struct nbdt_server *server, struct newcomer *newcomer)
{
	pthread_mutex_lock(&server->lock);
	remove_newcomer(server, newcomer);
	pthread_mutex_unlock(&server->lock);
	return newcomer->pushed_out;
}

bool server_admit(struct nbdt_server *server)
{
	unsigned int limit = server->options.max_connections;

	if (atomic_fetch_add(&server->clients, 1) < limit || !limit)
		return true;
	server_dismiss(server);
	return false;
}

void server_dismiss(struct nbdt_server *server)
{
	atomic_fetch_sub(&server->clients, 1);
}
