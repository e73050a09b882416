/* SPDX-License-Identifier: Apache-2.0 */
/* What a server told of itself and its exports. */
#ifndef NBDT_LIST_EXPORTS_H
#define NBDT_LIST_EXPORTS_H

#include "list-ask.h"
#include "list-facts.h"
#include "table.h"

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

/* list-exports.c: for free(), or NULL. */
char *uri_of_export(const struct listing *listing, const struct listed_export *export);

/* list-print.c: on stdout, with nbdinfo's names. */
void print_listing_as_json(const struct listing *listing);
void print_listing_as_text(const struct listing *listing);

/* list-table.c: NULL after a mistake in the options, which was said. */
#define EXPORT_COLUMN_COUNT (9 + EXPORT_FLAG_COUNT)
extern const struct column export_columns[EXPORT_COLUMN_COUNT];
struct table *new_export_table(const struct table_options *options);
void add_listing_to_table(const struct listing *listing, struct table *table);

#endif
