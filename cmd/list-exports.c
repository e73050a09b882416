/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd-list with a server: what it is and what it exports. All is asked before anything is printed,
 * so that whatever the server does cannot leave half a document.
 */
#include "list-exports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nbd-list.h"

#define PATIENCE 10000u /* milliseconds */

static int add_export(struct listing *listing, const char *name, const char *description)
{
	/* At each power of two the array is full. */
	if (!(listing->count & (listing->count - 1))) {
		size_t room = listing->count ? listing->count * 2 : 1;
		struct listed_export *exports =
			reallocarray(listing->exports, room, sizeof(*exports));
		if (!exports)
			return -ENOMEM;
		listing->exports = exports;
	}
	struct listed_export *export = &listing->exports[listing->count];
	*export = (struct listed_export){ 0 };
	int result = ask_keep(&listing->asking, name, &export->name);
	if (!result && description)
		result = ask_keep(&listing->asking, description, &export->description);
	if (result)
		free(export->name);
	listing->count += !result;
	return result;
}

/* Only gathered at first: the connection is busy while it lists. */
static int take_export(const char *name, const char *description, void *arg)
{
	return add_export(arg, name, description);
}

static void ask_about(struct listing *listing, struct listed_export *export)
{
	struct nbdt_error err;
	int result =
		ask_export(&listing->asking, export->name, &export->facts, &export->contexts, &err);

	if (result) {
		export->error = strdup(err.text);
		listing->status = worse_status(listing->status, status_of(result));
	} else if (!export->description) {
		export->description = export->facts.description;
		export->facts.description = NULL;
	}
}

static int list_all(struct listing *listing, struct nbdt_error *err)
{
	nbdt_error_set(err, -E2BIG, "the server's names and descriptions are too long together");
	int result = nbdt_client_list(listing->asking.client, take_export, listing, err);

	if (result == -ENOMEM)
		nbdt_error_errno(err, result, "cannot keep the list of exports");
	return result;
}

/* The exports' names: the server's list, or what the address has. */
static int find_exports(struct listing *listing, struct nbdt_error *err)
{
	const char *name = listing->asking.uri->export_name;
	int result = -EOPNOTSUPP;

	if (!*name && listing->asking.handshake == NBDT_HANDSHAKE_FIXED_NEWSTYLE)
		result = list_all(listing, err);
	/* A server may refuse to list, and yet serve. */
	if (result == -EREMOTEIO)
		say_warning("%s", err->text);
	if (result != -EOPNOTSUPP && result != -EREMOTEIO)
		return result;
	result = add_export(listing, name, NULL);
	return result ? nbdt_error_errno(err, result, "cannot keep the list of exports") : 0;
}

char *uri_of_export(const struct listing *listing, const struct listed_export *export)
{
	struct nbdt_uri uri = *listing->asking.uri;

	/* Only formatted, never freed: the name stays the export's. */
	uri.export_name = export->name;
	return nbdt_uri_format(&uri);
}

static void clear_listing(struct listing *listing)
{
	ask_close(&listing->asking);
	for (size_t i = 0; i < listing->count; i++) {
		struct listed_export *export = &listing->exports[i];

		free(export->name);
		free(export->description);
		free(export->error);
		nbdt_export_clear(&export->facts);
		clear_context_names(&export->contexts);
	}
	free(listing->exports);
	free(listing->error);
}

static void ask_all(struct listing *listing)
{
	struct nbdt_error err;
	int result = ask_open(&listing->asking, &err);

	if (!result)
		result = find_exports(listing, &err);
	if (result) {
		listing->status = report(NULL, &err);
		listing->error = strdup(err.text);
	}
	/* Of a list without end none are asked about: it would have none either. */
	for (size_t i = 0; !result && i < listing->count; i++)
		ask_about(listing, &listing->exports[i]);
}

enum command_status list_exports(const struct nbdt_uri *uri, const struct list_options *options)
{
	struct listing listing = { 0 };
	struct table *table = NULL;

	if (table_is_asked_for(&options->table)) {
		table = new_export_table(&options->table);
		if (!table)
			return STATUS_USAGE;
	}
	ask_begin(&listing.asking, uri, options->timeout, PATIENCE);
	ask_all(&listing);
	if (table) {
		add_listing_to_table(&listing, table);
		listing.status = worse_status(listing.status, table_print(table));
	} else if (options->table.json) {
		print_listing_as_json(&listing);
	} else if (listing.asking.reached) {
		print_listing_as_text(&listing);
	}
	clear_listing(&listing);
	return listing.status;
}
