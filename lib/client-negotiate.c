/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of transmission: NBD_OPT_STRUCTURED_REPLY, NBD_OPT_EXTENDED_HEADERS. */
#include "client-internal.h"

/* The server's refusal, of whatever kind, means that it has not what was asked for. */
static int ask_for(
	struct nbdt_client *client, uint32_t option, bool *agreed, struct nbdt_error *err)
{
	struct iovec vector[1];
	struct option_reply reply;
	int result = client_begin_option(client, NULL, err);

	if (!result)
		result = client_send_option(client, option, vector, 1, err);
	if (!result)
		result = client_receive_reply(client, option, &reply, err);
	if (result)
		return result;
	*agreed = reply.type == NBD_REP_ACK;
	if (!*agreed && !(reply.type & NBD_REP_FLAG_ERROR))
		return client_misplaced_reply(client, option, &reply, err);
	return 0;
}

int nbdt_client_negotiate(struct nbdt_client *client, unsigned int wishes, struct nbdt_error *err)
{
	int result = 0;

	if (client->handshake != NBDT_HANDSHAKE_FIXED_NEWSTYLE)
		return 0;
	if (wishes & NBDT_WANT_EXTENDED && !client->extended)
		result = ask_for(client, NBD_OPT_EXTENDED_HEADERS, &client->extended, err);
	/* They take precedence, and cannot be taken back. */
	if (client->extended)
		client->structured = true;
	if (!result && wishes & NBDT_WANT_STRUCTURED && !client->structured)
		result = ask_for(client, NBD_OPT_STRUCTURED_REPLY, &client->structured, err);
	return result;
}

bool nbdt_client_uses_structured(const struct nbdt_client *client)
{
	return client->structured;
}

bool nbdt_client_uses_extended(const struct nbdt_client *client)
{
	return client->extended;
}
