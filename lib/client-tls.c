/* SPDX-License-Identifier: Apache-2.0 */
/* STARTTLS, which a client that wants TLS does first of all ("Client-side requirements"). */
#include <errno.h>
#include <string.h>

#include "client-internal.h"
#include "tls.h"

static int check_type(const struct nbdt_uri *uri, struct nbdt_error *err)
{
	const char *type = uri->tls_type;

	if (!type)
		return 0;
	if (!strcmp(type, "anon"))
		return nbdt_error_set(err, -EOPNOTSUPP,
			"tls-type=anon: whoever answers would be trusted, which this version does"
			" not do: use x509 or psk");
	if (!strcmp(type, "psk") && !uri->tls_psk_file)
		return nbdt_error_set(err, -EINVAL, "tls-type=psk needs tls-psk-file");
	if (!strcmp(type, "x509") && uri->tls_psk_file)
		return nbdt_error_set(err, -EINVAL, "tls-type=x509 excludes tls-psk-file");
	return 0;
}

/* On a Unix socket the server is on this machine, and its certificate says so if no other name. */
static const char *expected_name(const struct nbdt_uri *uri)
{
	if (uri->tls_hostname)
		return uri->tls_hostname;
	return uri->transport == NBDT_TRANSPORT_TCP ? uri->host : "localhost";
}

int client_read_credentials(
	const struct nbdt_uri *uri, struct tls_credentials **credentials, struct nbdt_error *err)
{
	const struct nbdt_tls_options options = {
		.certificates = uri->tls_certificates,
		.psk_file = uri->tls_psk_file,
		.user = uri->user,
		.hostname = expected_name(uri),
		.verify_peer = uri->tls_verify_peer,
	};
	int result = check_type(uri, err);

	return result ? result : tls_credentials_new(false, &options, credentials, err);
}

/* Any error means that there is no TLS: there is no going on without. */
static int explain_refusal(struct nbdt_client *client, const struct option_reply *reply,
	struct nbdt_error *err)
{
	char text[CLIENT_EXCERPT];
	size_t length = reply->length < CLIENT_DATA ? reply->length : CLIENT_DATA;

	client_excerpt(text, (const char *)client->data, length);
	return nbdt_error_set(err, -EREMOTEIO, "%.200s has no TLS, which was asked for%s%s",
		client->name, *text ? ": " : "", text);
}

/* "The server MUST NOT send" before the handshake: someone else might. */
static int check_silence(struct nbdt_client *client, struct nbdt_error *err)
{
	unsigned char byte;

	if (client->transport->ops->receive(client->transport, &byte, 1) <= 0)
		return 0;
	return nbdt_error_set(err, client_broken(client, -EPROTO),
		"%.200s broke the protocol: it goes on without TLS after agreeing on it, or"
		" somebody in between does",
		client->name);
}

static int ask_for_tls(struct nbdt_client *client, struct nbdt_error *err)
{
	struct iovec vector[1];
	struct option_reply reply;
	int result = client_send_option(client, NBD_OPT_STARTTLS, vector, 1, err);

	if (!result)
		result = client_receive_reply(client, NBD_OPT_STARTTLS, &reply, err);
	if (result)
		return result;
	if (reply.type == NBD_REP_ACK)
		return check_silence(client, err);
	if (reply.type & NBD_REP_FLAG_ERROR)
		return explain_refusal(client, &reply, err);
	return client_misplaced_reply(client, NBD_OPT_STARTTLS, &reply, err);
}

int client_start_tls(
	struct nbdt_client *client, struct tls_credentials *credentials, struct nbdt_error *err)
{
	client->credentials = credentials;
	if (client->handshake != NBDT_HANDSHAKE_FIXED_NEWSTYLE)
		return nbdt_error_set(err, client_broken(client, -EREMOTEIO),
			"%.200s is too old for TLS, which was asked for", client->name);
	int result = ask_for_tls(client, err);
	if (result)
		return result;
	result = tls_start(&client->transport, credentials, client->name, -1, client->deadline,
		err);
	if (result)
		return client_broken(client, result);
	client->tls = true;
	return 0;
}

int nbdt_client_start_tls(struct nbdt_client *client, const struct nbdt_tls_options *options,
	struct nbdt_error *err)
{
	struct tls_credentials *credentials = NULL;
	int result = client_begin_option(client, NULL, err);

	if (result)
		return result;
	if (client->credentials || client->structured)
		return nbdt_error_set(err, -EINVAL,
			"%.200s: TLS can only be started once, and before anything else",
			client->name);
	result = tls_credentials_new(false, options, &credentials, err);
	return result ? result : client_start_tls(client, credentials, err);
}

bool nbdt_client_uses_tls(const struct nbdt_client *client)
{
	return client->tls;
}
