/* SPDX-License-Identifier: Apache-2.0 */
/* URIs and sizes. What was read, written and read again must be the same. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static bool same_text(const char *one, const char *other)
{
	return one && other ? !strcmp(one, other) : one == other;
}

/* The user and the parameters of TLS are not written. */
static void check_round_trip(const struct nbdt_uri *uri)
{
	struct nbdt_uri *again = NULL;
	struct nbdt_error err;
	char *text = nbdt_uri_format(uri);

	fuzz_check(text, "no memory");
	fuzz_check(!nbdt_uri_parse(text, &again, &err), "what was written cannot be read");
	fuzz_check(again->transport == uri->transport && again->tls == uri->tls,
		"the transport has changed");
	fuzz_check(same_text(again->host, uri->host), "the host has changed");
	fuzz_check(same_text(again->port, uri->port), "the port has changed");
	fuzz_check(same_text(again->socket, uri->socket), "the socket has changed");
	fuzz_check(same_text(again->export_name, uri->export_name), "the export has changed");
	nbdt_uri_free(again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nbdt_error err = { 0 };
	struct nbdt_uri *uri;
	uint64_t bytes;
	char *text = strndup((const char *)data, size);

	fuzz_check(text, "no memory");
	int result = nbdt_uri_parse(text, &uri, &err);
	if (result) {
		fuzz_check_error(result, &err);
	} else {
		check_round_trip(uri);
		nbdt_uri_free(uri);
	}
	if (!nbdt_parse_size(text, &bytes))
		fuzz_check(bytes <= INT64_MAX, "a size is too large");
	free(text);
	return 0;
}
