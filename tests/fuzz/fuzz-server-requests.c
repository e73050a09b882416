/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server, against a client that may say anything after a good handshake. The first byte chooses
 * the export and the style of replies; all else is the client's.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "nbd-protocol.h"
#include "server-target.h"
#include "wire.h"

#define HANDSHAKE_MAXIMUM 256 /* bytes */

enum style {
	SIMPLE,
	STRUCTURED,
	EXTENDED,
	STYLES
};

static size_t put_option(unsigned char *at, uint32_t option, const void *data, size_t length)
{
	wire_put64(at, NBD_OPTS_MAGIC);
	wire_put32(at + 8, option);
	wire_put32(at + 12, (uint32_t)length);
	if (length)
		memcpy(at + 16, data, length);
	return 16 + length;
}

/* "base:allocation" of NAME. */
static size_t put_context(unsigned char *at, const char *name)
{
	static const char context[] = "base:allocation";
	unsigned char data[64];
	size_t length = strlen(name);

	wire_put32(data, (uint32_t)length);
	memcpy(data + 4, name, length);
	wire_put32(data + 4 + length, 1);
	wire_put32(data + 8 + length, sizeof(context) - 1);
	memcpy(data + 12 + length, context, sizeof(context) - 1);
	return put_option(at, NBD_OPT_SET_META_CONTEXT, data, 12 + length + sizeof(context) - 1);
}

/* The client's side of it, up to its first request. Returns bytes. */
static size_t fill_handshake(unsigned char *to, enum style style, const char *name)
{
	unsigned char go[16] = { 0 };
	unsigned char *at = to;
	size_t length = strlen(name);

	wire_put32(at, NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES);
	at += 4;
	at += put_option(at,
		style == EXTENDED ? NBD_OPT_EXTENDED_HEADERS : NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	at += put_context(at, name);
	wire_put32(go, (uint32_t)length);
	memcpy(go + 4, name, length);
	at += put_option(at, NBD_OPT_GO, go, 6 + length);
	return (size_t)(at - to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return -1;
	int export = data[0] % FUZZ_EXPORTS;
	enum style style = data[0] / FUZZ_EXPORTS % STYLES;

	if (style == SIMPLE) {
		fuzz_server(export, data + 1, size - 1);
		return 0;
	}
	unsigned char *all = malloc(HANDSHAKE_MAXIMUM + size);
	fuzz_check(all, "no memory");
	size_t begin = fill_handshake(all, style, fuzz_exports[export]);
	memcpy(all + begin, data + 1, size - 1);
	fuzz_server(-1, all, begin + size - 1);
	free(all);
	return 0;
}
