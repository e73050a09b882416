/* SPDX-License-Identifier: Apache-2.0 */
/* The server's first words: which handshake it speaks, or that it speaks something else. */
#include <errno.h>
#include <string.h>

#include "client-internal.h"
#include "wire.h"

/* What common servers say first, to name them when a port was mistaken. */
static const char *foreign_protocol(const unsigned char *greeting)
{
	static const struct {
		const char *begin;
		const char *protocol;
	} protocols[] = {
		{ "HTTP/", "HTTP" },
		{ "SSH-", "SSH" },
		{ "220 ", "SMTP or FTP" },
		{ "220-", "SMTP or FTP" },
		{ "+OK ", "POP3" },
		{ "* OK", "IMAP" },
		{ "RFB ", "VNC" },
	};

	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (!memcmp(greeting, protocols[i].begin, strlen(protocols[i].begin)))
			return protocols[i].protocol;
	return NULL;
}

/* Servers of other protocols often wait for the client to begin, and so are silent here. */
static int explain_silence(struct nbdt_client *client, int result, struct nbdt_error *err)
{
	switch (result) {
	case -ETIMEDOUT:
		return nbdt_error_set(err, result,
			"%.200s sent no NBD greeting within %.3g s: is it an NBD server?",
			client->name, client->timeout / 1000.0);
	case -EPIPE:
	case -ECONNRESET:
		return nbdt_error_set(err, -EPROTO,
			"%.200s closed the connection without an NBD greeting: it is no NBD server,"
			" or refuses this client",
			client->name);
	default:
		return nbdt_error_errno(err, result, "connection to %.200s", client->name);
	}
}

static int receive_magic(struct nbdt_client *client, struct nbdt_error *err)
{
	unsigned char magic[8];
	int result = transport_receive_all(
		client->transport, magic, sizeof(magic), -1, client->deadline);

	if (result)
		return explain_silence(client, result, err);
	if (wire_get64(magic) == NBD_MAGIC)
		return 0;
	const char *protocol = foreign_protocol(magic);
	if (protocol)
		return nbdt_error_set(err, -EPROTO, "%.200s is not an NBD server (it speaks %s)",
			client->name, protocol);
	return nbdt_error_set(err, -EPROTO, "%.200s is not an NBD server (its greeting is another)",
		client->name);
}

/* Size, 16 bits of handshake flags that mean nothing here, transmission flags, and zeroes. */
static int greet_oldstyle(struct nbdt_client *client, struct nbdt_error *err)
{
	unsigned char greeting[8 + 4 + 124];
	int result = client_receive(client, greeting, sizeof(greeting), err);

	if (result)
		return result;
	client->handshake = NBDT_HANDSHAKE_OLDSTYLE;
	client->oldstyle_size = wire_get64(greeting);
	client->oldstyle_flags = wire_get16(greeting + 10);
	client->phase = CLIENT_TRANSMISSION;
	return 0;
}

static int greet_newstyle(struct nbdt_client *client, struct nbdt_error *err)
{
	unsigned char offered[2];
	unsigned char chosen[4];
	struct iovec vector = { .iov_base = chosen, .iov_len = sizeof(chosen) };
	uint32_t answer = 0;
	int result = client_receive(client, offered, sizeof(offered), err);

	if (result)
		return result;
	/* "The client SHOULD ignore any handshake flags it does not recognize." */
	uint16_t flags = wire_get16(offered);
	client->handshake = NBDT_HANDSHAKE_NEWSTYLE;
	if (flags & NBD_FLAG_FIXED_NEWSTYLE) {
		client->handshake = NBDT_HANDSHAKE_FIXED_NEWSTYLE;
		answer |= NBD_FLAG_C_FIXED_NEWSTYLE;
	}
	client->no_zeroes = flags & NBD_FLAG_NO_ZEROES;
	if (client->no_zeroes)
		answer |= NBD_FLAG_C_NO_ZEROES;
	wire_put32(chosen, answer);
	client->phase = CLIENT_HAGGLING;
	return client_send(client, &vector, 1, err);
}

int client_greet(struct nbdt_client *client, struct nbdt_error *err)
{
	unsigned char magic[8];
	int result = receive_magic(client, err);

	if (!result)
		result = client_receive(client, magic, sizeof(magic), err);
	if (result)
		return result;
	if (wire_get64(magic) == NBD_OPTS_MAGIC)
		return greet_newstyle(client, err);
	if (wire_get64(magic) == NBD_CLISERV_MAGIC)
		return greet_oldstyle(client, err);
	return nbdt_error_set(err, -EPROTO,
		"%.200s speaks a version of NBD that is unknown (second magic %#llx)", client->name,
		(unsigned long long)wire_get64(magic));
}
