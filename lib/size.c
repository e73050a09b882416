/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes as people write them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nbdtools.h"

/* The factor that a suffix stands for; 0: none. */
static uint64_t suffix_factor(const char *suffix)
{
	static const char letters[] = "KMGTPEkmgtpe";
	const char *letter = strchr(letters, *suffix);
	uint64_t base = 1024;
	uint64_t factor = 1;

	if (!*suffix)
		return 1;
	if (!letter)
		return 0;
	if (!strcmp(suffix + 1, "B"))
		base = 1000;
	else if (suffix[1] && strcmp(suffix + 1, "iB") != 0)
		return 0;
	for (long power = (letter - letters) % 6; power >= 0; power--)
		factor *= base;
	return factor;
}

int nbdt_parse_size(const char *text, uint64_t *bytes)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t factor = suffix_factor(text + digits);
	uint64_t size;

	/* strtoull() by itself takes blanks and signs. */
	if (!digits || !factor)
		return -EINVAL;
	errno = 0;
	size = strtoull(text, NULL, 10);
	if (errno || __builtin_mul_overflow(size, factor, &size) || size > INT64_MAX)
		return -ERANGE;
	*bytes = size;
	return 0;
}
