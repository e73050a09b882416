/* SPDX-License-Identifier: Apache-2.0 */
/* STARTTLS, and what happens without it ("Server-side requirements"). */
#include <errno.h>
#include <string.h>

#include "nbd-protocol.h"
#include "server-handshake.h"
#include "tls.h"

bool handshake_demands_tls(const struct handshake *handshake)
{
	return handshake->server->options.tls == NBDT_TLS_REQUIRE && !handshake->tls
	       && handshake->option != NBD_OPT_STARTTLS && handshake->option != NBD_OPT_ABORT;
}

int handshake_refuse_plaintext(struct handshake *handshake)
{
	/* "As this request cannot error, it MUST terminate the session" ("FORCEDTLS mode"). */
	if (handshake->option == NBD_OPT_EXPORT_NAME)
		return nbdt_error_set(&handshake->error, -EPROTO,
			"the client chose an export without TLS, which is required");
	return handshake_refuse(handshake, NBD_REP_ERR_TLS_REQD, "this server requires TLS");
}

/* What is there before our agreement was sent by a client that did not wait, or by someone else. */
static int check_silence(struct handshake *handshake)
{
	unsigned char byte;

	if (handshake->transport->ops->receive(handshake->transport, &byte, 1) <= 0)
		return 0;
	return nbdt_error_set(&handshake->error, -EPROTO,
		"the client, or somebody in between, went on without TLS after asking for it");
}

int handshake_start_tls(struct handshake *handshake)
{
	struct nbdt_server *server = handshake->server;

	if (!server->credentials)
		return handshake_refuse(handshake, NBD_REP_ERR_UNSUP, "this server has no TLS");
	if (handshake->tls)
		return handshake_refuse(
			handshake, NBD_REP_ERR_INVALID, "TLS was started already");
	if (handshake->length)
		return handshake_refuse(
			handshake, NBD_REP_ERR_INVALID, "STARTTLS takes no data");
	int result = check_silence(handshake);
	if (!result)
		result = handshake_acknowledge(handshake);
	if (result)
		return result;
	memset(&handshake->agreement, 0, sizeof(handshake->agreement));
	handshake->tls = true;
	return tls_start(&handshake->transport, server->credentials, "the client", server->stop_fd,
		handshake->deadline, &handshake->error);
}
