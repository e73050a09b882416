/* SPDX-License-Identifier: Apache-2.0 */
#include "server-address.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/* Splits in place; an address with several colons and no brackets has no port. */
static char *split_host(char *text, const char **port)
{
	char *colon = strchr(text, ':');
	char *bracket = *text == '[' ? strchr(text, ']') : NULL;

	if (bracket) {
		*bracket = '\0';
		if (bracket[1] == ':')
			*port = bracket + 2;
		return text + 1;
	}
	if (colon && !strchr(colon + 1, ':')) {
		*colon = '\0';
		*port = colon + 1;
	}
	return text;
}

enum command_status read_server_address(
	const char *text, const char *port, const char *name, struct nbdt_uri **uri)
{
	struct nbdt_error err;
	int result;

	if (strstr(text, "://")) {
		if (name || port)
			return usage_error("%s: a URI has port and export name inside", text);
		result = nbdt_uri_parse(text, uri, &err);
	} else {
		CLEANUP_FREE char *copy = strdup(text);
		const char *own_port = NULL;

		if (!copy)
			return usage_error("out of memory");
		char *host = split_host(copy, &own_port);
		if (own_port && port)
			return usage_error("%s: two ports", text);
		if (own_port)
			port = own_port;
		result = nbdt_uri_tcp(host, port, name ? name : "", uri, &err);
	}
	if (!result)
		return STATUS_DONE;
	report(NULL, &err);
	return STATUS_USAGE;
}
