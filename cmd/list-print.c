/* SPDX-License-Identifier: Apache-2.0 */
/* A listing of exports as JSON and as text, which have the same names, nbdinfo's. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "escape.h"
#include "json-writer.h"
#include "list-exports.h"

static const char *protocol(const struct asking *asking)
{
	static const char *const protocols[] = {
		[NBDT_HANDSHAKE_OLDSTYLE] = "oldstyle",
		[NBDT_HANDSHAKE_NEWSTYLE] = "newstyle",
		[NBDT_HANDSHAKE_FIXED_NEWSTYLE] = "newstyle-fixed",
	};

	return protocols[asking->handshake];
}

static void write_facts(struct json_writer *json, const struct listed_export *export)
{
	const struct nbdt_export *facts = &export->facts;
	char size[32];

	json_open(json, "contexts", '[');
	for (size_t i = 0; i < export->contexts.count; i++)
		json_string(json, NULL, export->contexts.names[i]);
	json_close(json, ']');
	for (size_t i = 0; i < EXPORT_FLAG_COUNT; i++)
		json_boolean(json, export_flags[i].key, facts->flags & export_flags[i].flag);
	if (facts->has_block_sizes) {
		json_number(json, "block_size_minimum", facts->block_minimum);
		json_number(json, "block_size_preferred", facts->block_preferred);
		json_number(json, "block_size_maximum", facts->block_maximum);
	}
	json_number(json, "export-size", facts->size);
	format_whole_size(facts->size, size, sizeof(size));
	json_string(json, "export-size-str", size);
}

static void write_export(
	struct json_writer *json, const struct listing *listing, const struct listed_export *export)
{
	CLEANUP_FREE char *uri = uri_of_export(listing, export);

	json_open(json, NULL, '{');
	json_string(json, "export-name", export->name);
	if (export->description)
		json_string(json, "description", export->description);
	if (uri)
		json_string(json, "uri", uri);
	if (export->error)
		json_string(json, "error", export->error);
	/* Without a list's end, none was asked about. */
	else if (!listing->error)
		write_facts(json, export);
	json_close(json, '}');
}

void print_listing_as_json(const struct listing *listing)
{
	const struct asking *asking = &listing->asking;
	struct json_writer json = { 0 };

	json_open(&json, NULL, '{');
	if (asking->reached) {
		json_string(&json, "protocol", protocol(asking));
		json_boolean(&json, "TLS", asking->tls);
		json_boolean(&json, "structured", asking->structured);
		json_boolean(&json, "extended", asking->extended);
	}
	if (listing->error)
		json_string(&json, "error", listing->error);
	json_open(&json, "exports", '[');
	for (size_t i = 0; i < listing->count; i++)
		write_export(&json, listing, &listing->exports[i]);
	json_close(&json, ']');
	json_close(&json, '}');
}

static void print_escaped(const char *before, const char *text, const char *after)
{
	CLEANUP_FREE char *shown = escape_for_terminal(text);

	printf("%s%s%s", before, shown ? shown : "?", after);
}

static void print_facts(const struct listed_export *export)
{
	const struct nbdt_export *facts = &export->facts;

	if (export->contexts.count)
		puts("\tcontexts:");
	for (size_t i = 0; i < export->contexts.count; i++)
		print_escaped("\t\t", export->contexts.names[i], "\n");
	for (size_t i = 0; i < EXPORT_FLAG_COUNT; i++)
		printf("\t%s: %s\n", export_flags[i].key,
			facts->flags & export_flags[i].flag ? "true" : "false");
	if (facts->has_block_sizes)
		printf("\tblock_size_minimum: %" PRIu32 "\n"
		       "\tblock_size_preferred: %" PRIu32 "\n"
		       "\tblock_size_maximum: %" PRIu32 "\n",
			facts->block_minimum, facts->block_preferred, facts->block_maximum);
}

static void print_export(const struct listing *listing, const struct listed_export *export)
{
	CLEANUP_FREE char *uri = uri_of_export(listing, export);
	bool known = !export->error && !listing->error;
	char size[32];

	print_escaped("export=\"", export->name, "\":\n");
	if (export->description)
		print_escaped("\tdescription: ", export->description, "\n");
	format_size(export->facts.size, size, sizeof(size));
	if (known)
		printf("\texport-size: %" PRIu64 " (%s)\n", export->facts.size, size);
	if (uri)
		print_escaped("\turi: ", uri, "\n");
	if (export->error)
		print_escaped("\terror: ", export->error, "\n");
	if (known)
		print_facts(export);
}

void print_listing_as_text(const struct listing *listing)
{
	const struct asking *asking = &listing->asking;

	printf("protocol: %s %s TLS, using %s packets\n", protocol(asking),
		asking->tls ? "with" : "without",
		asking->extended     ? "extended"
		: asking->structured ? "structured"
				     : "simple");
	for (size_t i = 0; i < listing->count; i++)
		print_export(listing, &listing->exports[i]);
}
