/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of exports, built from their parts and written as URIs. Reading: uri-parse.c. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nbdtools.h"
#include "uri.h"
#include "utf8.h"

struct nbdt_uri *uri_new(enum nbdt_transport_kind transport)
{
	struct nbdt_uri *uri = calloc(1, sizeof(*uri));

	if (!uri)
		return NULL;
	uri->transport = transport;
	uri->tls_verify_peer = true;
	uri->export_name = strdup("");
	if (uri->export_name)
		return uri;
	free(uri);
	return NULL;
}

void nbdt_uri_free(struct nbdt_uri *uri)
{
	if (!uri)
		return;
	free(uri->host);
	free(uri->port);
	free(uri->socket);
	free(uri->export_name);
	free(uri->user);
	free(uri->tls_certificates);
	free(uri->tls_psk_file);
	free(uri->tls_hostname);
	free(uri->tls_type);
	free(uri);
}

int uri_set_string(char **string, const char *text, struct nbdt_error *err)
{
	char *copy = strdup(text);

	if (!copy)
		return nbdt_error_errno(err, -ENOMEM, "cannot keep an address");
	free(*string);
	*string = copy;
	return 0;
}

int uri_set_export(struct nbdt_uri *uri, const char *text, struct nbdt_error *err)
{
	size_t length = strlen(text);

	if (length > NBDT_MAX_STRING)
		return nbdt_error_set(err, -EINVAL,
			"the export's name has %zu bytes, NBD allows %u", length, NBDT_MAX_STRING);
	if (!utf8_valid(text, length))
		return nbdt_error_set(err, -EINVAL, "the export's name is not valid UTF-8");
	return uri_set_string(&uri->export_name, text, err);
}

/* Of vsock, 32 bits; the last one means "any" (VMADDR_PORT_ANY). */
static unsigned long long largest_port(const struct nbdt_uri *uri)
{
	return uri->transport == NBDT_TRANSPORT_VSOCK ? UINT32_MAX - 1 : UINT16_MAX;
}

int uri_set_port(struct nbdt_uri *uri, const char *text, struct nbdt_error *err)
{
	unsigned long long port = 0;
	char decimal[24];

	if (*text && strspn(text, "0123456789") == strlen(text)) {
		errno = 0;
		port = strtoull(text, NULL, 10);
		if (errno)
			port = 0;
	}
	if (!port || port > largest_port(uri))
		return nbdt_error_set(err, -EINVAL, "port '%.40s': not a number from 1 to %llu",
			text, largest_port(uri));
	snprintf(decimal, sizeof(decimal), "%llu", port);
	return uri_set_string(&uri->port, decimal, err);
}

/* Ends a constructor: hands the URI out, or frees it. */
static int finish(int result, struct nbdt_uri *made, struct nbdt_uri **uri)
{
	if (result)
		nbdt_uri_free(made);
	else
		*uri = made;
	return result;
}

int nbdt_uri_tcp(const char *host, const char *port, const char *export_name,
	struct nbdt_uri **uri, struct nbdt_error *err)
{
	if (!*host)
		return nbdt_error_set(err, -EINVAL, "no host given");
	struct nbdt_uri *made = uri_new(NBDT_TRANSPORT_TCP);
	if (!made)
		return nbdt_error_errno(err, -ENOMEM, "cannot keep an address");
	int result = uri_set_string(&made->host, host, err);
	if (!result)
		result = uri_set_port(made, port ? port : NBDT_DEFAULT_PORT, err);
	if (!result)
		result = uri_set_export(made, export_name, err);
	return finish(result, made, uri);
}

int nbdt_uri_unix(const char *socket, const char *export_name, struct nbdt_uri **uri,
	struct nbdt_error *err)
{
	if (!*socket)
		return nbdt_error_set(err, -EINVAL, "no socket given");
	struct nbdt_uri *made = uri_new(NBDT_TRANSPORT_UNIX);
	if (!made)
		return nbdt_error_errno(err, -ENOMEM, "cannot keep an address");
	int result = uri_set_string(&made->socket, socket, err);
	if (!result)
		result = uri_set_export(made, export_name, err);
	return finish(result, made, uri);
}

/* Plain are RFC 3986's "Unreserved Characters", and those in ALSO, which are safe where they go. */
static void put_escaped(FILE *stream, const char *text, const char *also)
{
	const unsigned char *at = (const unsigned char *)text;

	for (; *at; at++) {
		bool plain = *at < 0x80 && (isalnum(*at) || strchr("-._~", *at));

		if (plain || strchr(also, *at))
			fputc(*at, stream);
		else
			fprintf(stream, "%%%02X", *at);
	}
}

/*
 * Brackets are for addresses only (RFC 3986, "Host"), without a zone: colons in anything else are
 * escaped.
 */
static void put_authority(FILE *stream, const struct nbdt_uri *uri)
{
	struct in6_addr address;

	if (inet_pton(AF_INET6, uri->host, &address) == 1) {
		fputc('[', stream);
		put_escaped(stream, uri->host, ":");
		fputc(']', stream);
	} else {
		put_escaped(stream, uri->host, "");
	}
	if (strcmp(uri->port, NBDT_DEFAULT_PORT) != 0)
		fprintf(stream, ":%s", uri->port);
}

char *nbdt_uri_format(const struct nbdt_uri *uri)
{
	static const char *const suffixes[] = {
		[NBDT_TRANSPORT_TCP] = "",
		[NBDT_TRANSPORT_UNIX] = "+unix",
		[NBDT_TRANSPORT_VSOCK] = "+vsock",
	};
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	fprintf(stream, "nbd%s%s://", uri->tls ? "s" : "", suffixes[uri->transport]);
	if (uri->transport != NBDT_TRANSPORT_UNIX)
		put_authority(stream, uri);
	fputc('/', stream);
	put_escaped(stream, uri->export_name, "/:@,+=");
	if (uri->transport == NBDT_TRANSPORT_UNIX) {
		fputs("?socket=", stream);
		put_escaped(stream, uri->socket, "/:@,+");
	}
	bool failed = ferror(stream);
	if (fclose(stream) || failed) {
		free(text);
		return NULL;
	}
	return text;
}
