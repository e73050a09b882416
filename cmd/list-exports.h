/* SPDX-License-Identifier: Apache-2.0 */
/* What a server told of itself and its exports. */
#ifndef NBDT_LIST_EXPORTS_H
#define NBDT_LIST_EXPORTS_H

#include "list-ask.h"

struct listed_export {
	char *name;
	char *description; /* or NULL */
	char *error;       /* why it could not be asked about; NULL: the rest is known */
	struct nbdt_export facts;
	struct context_names contexts;
};

struct listing {
	struct asking asking;
	struct listed_export *exports;
	size_t count;
	char *error; /* why there may be more, or NULL */
	enum command_status status;
};

/* list-print.c: on stdout, with nbdinfo's names. */
void print_listing_as_json(const struct listing *listing);
void print_listing_as_text(const struct listing *listing);

#endif
