/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading URIs (doc/uri.md): uriparser knows the syntax of RFC 3986, and this what NBD makes of
 * it.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uriparser/Uri.h>

#include "cleanup.h"
#include "nbdtools.h"
#include "uri.h"

/* A part of the URI's text, not terminated. */
struct part {
	const char *at;
	size_t length;
};

static struct part part_of(const UriTextRangeA *range)
{
	struct part part = { .at = range->first };

	if (range->first)
		part.length = (size_t)(range->afterLast - range->first);
	return part;
}

static int hex_value(char digit)
{
	return isdigit((unsigned char)digit) ? digit - '0'
					     : tolower((unsigned char)digit) - 'a' + 10;
}

/* TEXT's first broken escape, or escaped NUL, which would not survive in a C string; or NULL. */
static const char *find_bad_escape(const char *text)
{
	while ((text = strchr(text, '%'))) {
		if (!isxdigit((unsigned char)text[1]) || !isxdigit((unsigned char)text[2]))
			return text;
		if (text[1] == '0' && text[2] == '0')
			return text;
		text += 3;
	}
	return NULL;
}

/* Decodes to TO, which has room for PART; returns the end. */
static char *decode_to(char *to, struct part part)
{
	for (size_t i = 0; i < part.length; i++) {
		char byte = part.at[i];

		/* find_bad_escape() has seen that two digits follow. */
		if (byte == '%' && part.length - i > 2) {
			byte = (char)(hex_value(part.at[i + 1]) << 4 | hex_value(part.at[i + 2]));
			i += 2;
		}
		*to++ = byte;
	}
	return to;
}

static int decode(char **string, struct part part, struct nbdt_error *err)
{
	char *text = malloc(part.length + 1);

	if (!text)
		return nbdt_error_errno(err, -ENOMEM, "cannot read a URI");
	*decode_to(text, part) = '\0';
	free(*string);
	*string = text;
	return 0;
}

static bool part_is(struct part part, const char *text)
{
	return part.length == strlen(text) && !strncasecmp(part.at, text, part.length);
}

static int read_scheme(struct part scheme, struct nbdt_uri **uri, struct nbdt_error *err)
{
	static const struct {
		const char *name;
		enum nbdt_transport_kind transport;
		bool tls;
	} schemes[] = {
		{ "nbd", NBDT_TRANSPORT_TCP, false },
		{ "nbds", NBDT_TRANSPORT_TCP, true },
		{ "nbd+unix", NBDT_TRANSPORT_UNIX, false },
		{ "nbds+unix", NBDT_TRANSPORT_UNIX, true },
		{ "nbd+vsock", NBDT_TRANSPORT_VSOCK, false },
		{ "nbds+vsock", NBDT_TRANSPORT_VSOCK, true },
	};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (!scheme.at || !part_is(scheme, schemes[i].name))
			continue;
		*uri = uri_new(schemes[i].transport);
		if (!*uri)
			return nbdt_error_errno(err, -ENOMEM, "cannot read a URI");
		(*uri)->tls = schemes[i].tls;
		return 0;
	}
	return nbdt_error_set(err, -EINVAL,
		"unknown scheme '%.*s': use nbd, nbds, nbd+unix, nbds+unix, nbd+vsock or"
		" nbds+vsock",
		(int)(scheme.length < 40 ? scheme.length : 40), scheme.at ? scheme.at : "");
}

static int read_port(struct nbdt_uri *uri, struct part part, struct nbdt_error *err)
{
	CLEANUP_FREE char *text = NULL;

	/* RFC 3986, "Port": a colon with nothing after it stands for the default. */
	if (!part.length)
		return uri_set_port(uri, NBDT_DEFAULT_PORT, err);
	int result = decode(&text, part, err);
	return result ? result : uri_set_port(uri, text, err);
}

static int check_cid(const char *text, struct nbdt_error *err)
{
	char *end;

	errno = 0;
	unsigned long long cid = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno || cid > UINT32_MAX)
		return nbdt_error_set(err, -EINVAL, "vsock CID '%.40s': not a number", text);
	return 0;
}

static int read_authority(struct nbdt_uri *uri, const UriUriA *parsed, struct nbdt_error *err)
{
	struct part user = part_of(&parsed->userInfo);
	struct part host = part_of(&parsed->hostText);
	struct part port = part_of(&parsed->portText);
	int result = user.at ? decode(&uri->user, user, err) : 0;

	if (result)
		return result;
	if (uri->transport == NBDT_TRANSPORT_UNIX) {
		if (host.length || port.at)
			return nbdt_error_set(err, -EINVAL,
				"a Unix socket has no host: nbd+unix:///EXPORT?socket=PATH");
		return 0;
	}
	if (!host.length)
		return nbdt_error_set(err, -EINVAL, "the URI names no host");
	result = decode(&uri->host, host, err);
	if (!result && uri->transport == NBDT_TRANSPORT_VSOCK)
		result = check_cid(uri->host, err);
	return result ? result : read_port(uri, port, err);
}

/*
 * "The path part of the URI except for the leading / character" ("NBD URI export name"). SIZE: of
 * the whole URI, which no part of it exceeds.
 */
static int read_path(
	struct nbdt_uri *uri, const UriUriA *parsed, size_t size, struct nbdt_error *err)
{
	char *name = malloc(size + 1);
	char *to = name;

	if (!name)
		return nbdt_error_errno(err, -ENOMEM, "cannot read a URI");
	for (const UriPathSegmentA *segment = parsed->pathHead; segment; segment = segment->next) {
		if (segment != parsed->pathHead)
			*to++ = '/';
		to = decode_to(to, part_of(&segment->text));
	}
	*to = '\0';
	int result = uri_set_export(uri, name, err);
	free(name);
	return result;
}

static int read_tls_type(struct nbdt_uri *uri, const char *value, struct nbdt_error *err)
{
	if (strcmp(value, "anon") != 0 && strcmp(value, "x509") != 0 && strcmp(value, "psk") != 0)
		return nbdt_error_set(
			err, -EINVAL, "tls-type '%.40s': it is anon, x509 or psk", value);
	return uri_set_string(&uri->tls_type, value, err);
}

static int read_verify_peer(struct nbdt_uri *uri, const char *value, struct nbdt_error *err)
{
	if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
		return nbdt_error_set(err, -EINVAL, "tls-verify-peer '%.40s': it is 0 or 1", value);
	uri->tls_verify_peer = *value == '1';
	return 0;
}

enum parameter {
	PARAMETER_SOCKET,
	PARAMETER_CERTIFICATES,
	PARAMETER_PSK_FILE,
	PARAMETER_HOSTNAME,
	PARAMETER_TYPE,
	PARAMETER_VERIFY_PEER,
	PARAMETER_COUNT,
};

static const char *const parameter_names[PARAMETER_COUNT] = {
	[PARAMETER_SOCKET] = "socket",
	[PARAMETER_CERTIFICATES] = "tls-certificates",
	[PARAMETER_PSK_FILE] = "tls-psk-file",
	[PARAMETER_HOSTNAME] = "tls-hostname",
	[PARAMETER_TYPE] = "tls-type",
	[PARAMETER_VERIFY_PEER] = "tls-verify-peer",
};

static int set_parameter(struct nbdt_uri *uri, enum parameter parameter, const char *value,
	struct nbdt_error *err)
{
	switch (parameter) {
	case PARAMETER_SOCKET:
		if (uri->transport != NBDT_TRANSPORT_UNIX)
			return nbdt_error_set(err, -EINVAL,
				"'socket' goes with nbd+unix and nbds+unix only");
		return uri_set_string(&uri->socket, value, err);
	case PARAMETER_CERTIFICATES:
		return uri_set_string(&uri->tls_certificates, value, err);
	case PARAMETER_PSK_FILE:
		return uri_set_string(&uri->tls_psk_file, value, err);
	case PARAMETER_HOSTNAME:
		return uri_set_string(&uri->tls_hostname, value, err);
	case PARAMETER_TYPE:
		return read_tls_type(uri, value, err);
	case PARAMETER_VERIFY_PEER:
		return read_verify_peer(uri, value, err);
	case PARAMETER_COUNT:
		break;
	}
	return -EINVAL;
}

/* SEEN: a bit for each parameter that came before. */
static int read_parameter(struct nbdt_uri *uri, struct part text, unsigned int *seen,
	struct nbdt_error *err)
{
	const char *equals = memchr(text.at, '=', text.length);
	struct part key = { text.at, equals ? (size_t)(equals - text.at) : text.length };
	CLEANUP_FREE char *value = NULL;
	int parameter = 0;

	while (parameter < PARAMETER_COUNT
		&& (key.length != strlen(parameter_names[parameter])
			|| memcmp(key.at, parameter_names[parameter], key.length) != 0))
		parameter++;
	if (parameter == PARAMETER_COUNT)
		return nbdt_error_set(err, -EINVAL, "unknown parameter '%.*s' in the URI",
			(int)(key.length < 60 ? key.length : 60), key.at);
	if (*seen & 1u << parameter)
		return nbdt_error_set(err, -EINVAL, "parameter '%s' is given twice in the URI",
			parameter_names[parameter]);
	*seen |= 1u << parameter;
	if (!equals || key.length + 1 == text.length)
		return nbdt_error_set(err, -EINVAL, "parameter '%s' has no value in the URI",
			parameter_names[parameter]);
	struct part escaped = { equals + 1, text.length - key.length - 1 };
	int result = decode(&value, escaped, err);
	return result ? result : set_parameter(uri, (enum parameter)parameter, value, err);
}

static int read_query(struct nbdt_uri *uri, struct part query, struct nbdt_error *err)
{
	unsigned int seen = 0;

	while (query.length) {
		const char *end = memchr(query.at, '&', query.length);
		struct part text = { query.at, end ? (size_t)(end - query.at) : query.length };
		size_t taken = end ? text.length + 1 : text.length;
		int result = text.length ? read_parameter(uri, text, &seen, err) : 0;

		if (result)
			return result;
		query.at += taken;
		query.length -= taken;
	}
	if (uri->transport == NBDT_TRANSPORT_UNIX && !uri->socket)
		return nbdt_error_set(err, -EINVAL,
			"the URI names no socket: nbd+unix:///EXPORT?socket=PATH");
	return 0;
}

static int read_parts(struct nbdt_uri *uri, const UriUriA *parsed, const char *text,
	struct nbdt_error *err)
{
	/* Without an authority, however empty, host and export could not be told apart. */
	if (!parsed->hostText.first || strncmp(parsed->scheme.afterLast, "://", 3) != 0)
		return nbdt_error_set(err, -EINVAL, "the URI has no '//' after its scheme");
	if (parsed->fragment.first)
		return nbdt_error_set(err, -EINVAL,
			"the URI has a '#', which means nothing to NBD: %%23 in an export's name");
	int result = read_authority(uri, parsed, err);
	if (!result)
		result = read_path(uri, parsed, strlen(text), err);
	return result ? result : read_query(uri, part_of(&parsed->query), err);
}

int nbdt_uri_parse(const char *text, struct nbdt_uri **uri, struct nbdt_error *err)
{
	struct nbdt_uri *made = NULL;
	const char *bad = find_bad_escape(text);
	UriUriA parsed;

	if (bad)
		return nbdt_error_set(err, -EINVAL, "'%.3s' in the URI: not an escape for a byte",
			bad);
	if (uriParseSingleUriA(&parsed, text, &bad) != URI_SUCCESS)
		return nbdt_error_set(err, -EINVAL, "'%.150s' is not a URI, from '%.40s' on", text,
			bad ? bad : text);
	int result = read_scheme(part_of(&parsed.scheme), &made, err);
	if (!result)
		result = read_parts(made, &parsed, text, err);
	uriFreeUriMembersA(&parsed);
	if (result)
		nbdt_uri_free(made);
	else
		*uri = made;
	return result;
}
