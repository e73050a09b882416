/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "utf8.h"

/* Number of bytes that follow a lead byte; -1: it is none. */
static int continuation_count(unsigned char lead)
{
	if (lead < 0x80)
		return 0;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 1;
	if (lead >= 0xe0 && lead <= 0xef)
		return 2;
	return lead >= 0xf0 && lead <= 0xf4 ? 3 : -1;
}

static bool code_allowed(uint32_t code, int continuations)
{
	static const uint32_t smallest[] = { 1, 0x80, 0x800, 0x10000 };

	return code >= smallest[continuations] && code <= 0x10ffff &&
		(code < 0xd800 || code > 0xdfff);
}

bool utf8_valid(const char *text, size_t length)
{
	const unsigned char *at = (const unsigned char *)text;
	const unsigned char *end = at + length;

	while (at < end) {
		unsigned char lead = *at++;
		int count = continuation_count(lead);
		if (count < 0 || end - at < count)
			return false;
		uint32_t code = count ? lead & (0x3fu >> count) : lead;
		for (int i = 0; i < count; i++, at++) {
			if ((*at & 0xc0) != 0x80)
				return false;
			code = code << 6 | (*at & 0x3fu);
		}
		if (!code_allowed(code, count))
			return false;
	}
	return true;
}
