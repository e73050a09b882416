/* SPDX-License-Identifier: Apache-2.0 */
/* A listing of exports as a table of chosen columns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "list-exports.h"
#include "list-facts.h"

/* The flags come in the order of export_flags, from ROTATIONAL on. */
enum {
	NAME,
	SIZE,
	DESCRIPTION,
	URI,
	CONTEXTS,
	MINIMUM,
	PREFERRED,
	MAXIMUM,
	ERROR,
	ROTATIONAL,
};

const struct column export_columns[EXPORT_COLUMN_COUNT] = {
	[NAME] = { "NAME", COLUMN_STRING, "the export's name" },
	[SIZE] = { "SIZE", COLUMN_SIZE, "size" },
	[DESCRIPTION] = { "DESCRIPTION", COLUMN_STRING, "what the server says of it" },
	[URI] = { "URI", COLUMN_STRING, "for nbd-connect" },
	[CONTEXTS] = { "CONTEXTS", COLUMN_STRING, "metadata contexts, for --map" },
	[MINIMUM] = { "MIN-BLOCK", COLUMN_SIZE, "smallest block" },
	[PREFERRED] = { "PREF-BLOCK", COLUMN_SIZE, "preferred block" },
	[MAXIMUM] = { "MAX-BLOCK", COLUMN_SIZE, "longest request with data" },
	[ERROR] = { "ERROR", COLUMN_STRING, "why the rest is not known" },
	[ROTATIONAL] = { "ROTA", COLUMN_BOOLEAN, "rotational" },
	{ "RO", COLUMN_BOOLEAN, "read-only" },
	{ "CACHE", COLUMN_BOOLEAN, "knows the command CACHE" },
	{ "DF", COLUMN_BOOLEAN, "knows the flag DF" },
	{ "FAST-ZERO", COLUMN_BOOLEAN, "knows the flag FAST_ZERO" },
	{ "FLUSH", COLUMN_BOOLEAN, "knows the command FLUSH" },
	{ "FUA", COLUMN_BOOLEAN, "knows the flag FUA" },
	{ "MULTI-CONN", COLUMN_BOOLEAN, "several connections see the same" },
	{ "TRIM", COLUMN_BOOLEAN, "knows the command TRIM" },
	{ "ZERO", COLUMN_BOOLEAN, "knows the command WRITE_ZEROES" },
};

#define DEFAULT_COLUMNS "NAME,SIZE,RO,DESCRIPTION,ERROR"

struct table *new_export_table(const struct table_options *options)
{
	return table_new(export_columns, EXPORT_COLUMN_COUNT, DEFAULT_COLUMNS, options, "exports");
}

/* With commas between them. */
static void set_contexts(struct table *table, const struct context_names *contexts)
{
	CLEANUP_FREE char *text = NULL;
	size_t length;
	FILE *stream = contexts->count ? open_memstream(&text, &length) : NULL;

	if (!stream)
		return;
	for (size_t i = 0; i < contexts->count; i++)
		fprintf(stream, "%s%s", i ? "," : "", contexts->names[i]);
	if (!fclose(stream))
		table_set(table, CONTEXTS, text);
}

static void set_facts(struct table *table, const struct nbdt_export *facts)
{
	table_set_number(table, SIZE, facts->size);
	for (size_t i = 0; i < EXPORT_FLAG_COUNT; i++)
		table_set_boolean(table, ROTATIONAL + i, facts->flags & export_flags[i].flag);
	if (!facts->has_block_sizes)
		return;
	table_set_number(table, MINIMUM, facts->block_minimum);
	table_set_number(table, PREFERRED, facts->block_preferred);
	table_set_number(table, MAXIMUM, facts->block_maximum);
}

void add_listing_to_table(const struct listing *listing, struct table *table)
{
	for (size_t i = 0; i < listing->count; i++) {
		const struct listed_export *export = &listing->exports[i];
		const char *error = export->error ? export->error : listing->error;
		CLEANUP_FREE char *uri = uri_of_export(listing, export);

		table_add_row(table);
		table_set(table, NAME, export->name);
		table_set(table, DESCRIPTION, export->description);
		table_set(table, URI, uri);
		table_set(table, ERROR, error);
		if (error)
			continue;
		set_contexts(table, &export->contexts);
		set_facts(table, &export->facts);
	}
}
