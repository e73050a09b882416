/* SPDX-License-Identifier: Apache-2.0 */
#include "connect-session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AUTO_CONNECTIONS 4

void session_close(struct session *session)
{
	for (unsigned int i = 0; i < session->count; i++) {
		if (session->sockets[i] >= 0)
			close(session->sockets[i]);
		nbdt_client_close(session->clients[i]);
	}
	nbdt_export_clear(&session->export);
	free(session->source);
	memset(session, 0, sizeof(*session));
}

/* Opens one more connection to the export, which must look the same as on the first one. */
static int add_connection(struct session *session, const struct nbdt_uri *uri,
	const struct connect_options *options, unsigned int timeout, struct nbdt_error *err)
{
	struct nbdt_client **client = &session->clients[session->count];
	struct nbdt_export export = { 0 };

	int result = nbdt_client_connect(uri, timeout, client, err);
	if (result)
		return result;
	session->sockets[session->count++] = -1;
	if (options->no_optgo)
		nbdt_client_avoid_go(*client);
	result = nbdt_client_go(*client, uri->export_name, &export, err);
	if (result)
		return result;
	if (session->count == 1) {
		session->export = export;
		return 0;
	}
	if (export.size != session->export.size || export.flags != session->export.flags)
		result = nbdt_error_set(err, -EPROTO,
			"%s: shows another size or other flags on connection %u than on the first",
			session->source, session->count);
	nbdt_export_clear(&export);
	return result;
}

static unsigned int choose_connections(
	const struct session *session, const struct connect_options *options)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (!(session->export.flags & NBDT_FLAG_CAN_MULTI_CONN))
		return 1;
	if (options->connections != CONNECTIONS_AUTO)
		return options->connections;
	return cpus < AUTO_CONNECTIONS ? (unsigned int)cpus : AUTO_CONNECTIONS;
}

/*
 * The logical block size must hold the server's minimum: the kernel will not send less than one
 * block.
 */
static int choose_block_size(
	struct session *session, const struct connect_options *options, struct nbdt_error *err)
{
	uint32_t minimum =
		session->export.has_block_sizes ? session->export.block_minimum : 1;
	uint32_t page = (uint32_t)getpagesize();

	session->block_size = options->block_size ? options->block_size
			      : minimum > 512    ? minimum
						 : 512;
	if (session->block_size < minimum)
		return nbdt_error_set(err, -EINVAL,
			"%s: takes no blocks of %u bytes, its minimum is %u", session->source,
			session->block_size, minimum);
	if (session->block_size > page)
		return nbdt_error_set(err, -EINVAL,
			"%s: its minimum block of %u bytes is more than this kernel's page of %u",
			session->source, minimum, page);
	return 0;
}

static int check_export(
	struct session *session, const struct connect_options *options, struct nbdt_error *err)
{
	const struct nbdt_export *export = &session->export;

	if (export->has_block_sizes && export->block_maximum < (uint32_t)getpagesize())
		return nbdt_error_set(err, -EINVAL,
			"%s: takes at most %u bytes at a time, and the kernel sends pages of %d",
			session->source, export->block_maximum, getpagesize());
	int result = choose_block_size(session, options, err);
	if (result)
		return result;
	session->size = export->size - export->size % session->block_size;
	if (!session->size)
		return nbdt_error_set(err, -ENODATA,
			"%s: has %" PRIu64 " bytes, less than one block of %u: nothing to attach",
			session->source, export->size, session->block_size);
	session->flags = export->flags;
	if (options->read_only)
		session->flags |= NBDT_FLAG_READ_ONLY;
	return 0;
}

int session_open(struct session *session, const struct nbdt_uri *uri,
	const struct connect_options *options, unsigned int timeout, struct nbdt_error *err)
{
	if (uri->tls)
		return nbdt_error_set(err, -EOPNOTSUPP,
			"the address asks for TLS (nbds), and TLS in the kernel is not built yet");
	session->source =
		options->identifier ? strdup(options->identifier) : nbdt_uri_format(uri);
	if (!session->source)
		return nbdt_error_errno(err, -ENOMEM, "source");
	int result = add_connection(session, uri, options, timeout, err);
	if (!result)
		result = check_export(session, options, err);
	if (result)
		return result;
	unsigned int wanted = choose_connections(session, options);
	while (!result && session->count < wanted)
		result = add_connection(session, uri, options, timeout, err);
	return result;
}

int session_take_sockets(struct session *session, struct nbdt_error *err)
{
	for (unsigned int i = 0; i < session->count; i++) {
		session->sockets[i] = nbdt_client_take_socket(session->clients[i], err);
		if (session->sockets[i] < 0)
			return session->sockets[i];
	}
	return 0;
}
