/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd-list --map: what an export's metadata context says of all of it. It is gathered before
 * anything is printed, so that a failure leaves nothing instead of a part.
 */
#include "list-map.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "list-ask.h"
#include "nbd-list.h"

#define PATIENCE 60000u     /* milliseconds */
#define PROGRESS_AFTER 1000 /* milliseconds; a terminal hears nothing of what is quicker */
#define PROGRESS_EVERY 200

struct mapping {
	struct map map;
	struct asking asking;
	bool totals;
	bool terminal; /* somebody watches */
	int64_t shown; /* milliseconds: when progress was shown; 0: never */
};

static void show_progress(struct mapping *mapping, uint64_t offset)
{
	if (!mapping->terminal)
		return;
	int64_t now = ask_time_passed(&mapping->asking);
	if (now < PROGRESS_AFTER || now - mapping->shown < PROGRESS_EVERY)
		return;
	mapping->shown = now;
	fprintf(stderr, "\r%5.1f%%", 100.0 * (double)offset / (double)mapping->map.size);
}

static void end_progress(const struct mapping *mapping)
{
	if (mapping->shown)
		fputs("\r      \r", stderr);
}

static int take_extent(
	const char *context, uint64_t offset, const struct nbdt_extent *extent, void *arg)
{
	struct mapping *mapping = arg;

	/* A server may select more than it was asked for. */
	if (strcmp(context, mapping->map.context) != 0)
		return 0;
	show_progress(mapping, offset);
	if (mapping->totals)
		return extent_totals_add(&mapping->map.totals, extent);
	return extents_add(&mapping->map.extents, extent);
}

static int select_context(const struct mapping *mapping, struct nbdt_error *err)
{
	const struct map *map = &mapping->map;
	size_t count, found = 0;

	int result = nbdt_client_set_contexts(
		mapping->asking.client, mapping->asking.uri->export_name, &map->context, 1, err);
	if (result)
		return result;
	const struct nbdt_context *contexts = nbdt_client_contexts(mapping->asking.client, &count);
	for (size_t i = 0; i < count; i++)
		found += !strcmp(contexts[i].name, map->context);
	if (!found)
		return nbdt_error_set(err, -EOPNOTSUPP,
			"the server has no metadata context '%.200s' for this export: without --map"
			" nbd-list tells which it has",
			map->context);
	if (found > 1)
		return nbdt_error_set(err, -EPROTO,
			"the server selects the metadata context '%.200s' more than once",
			map->context);
	return 0;
}

static int choose_export(struct mapping *mapping, struct nbdt_error *err)
{
	struct nbdt_export export;

	int result = select_context(mapping, err);
	if (result)
		return result;
	result = nbdt_client_go(
		mapping->asking.client, mapping->asking.uri->export_name, &export, err);
	if (result)
		return result;
	mapping->map.size = export.size;
	nbdt_export_clear(&export);
	return 0;
}

static int gather(struct mapping *mapping, struct nbdt_error *err)
{
	int result = ask_open(&mapping->asking, err);

	if (!result)
		result = choose_export(mapping, err);
	if (result)
		return result;
	nbdt_error_set(err, -E2BIG, "%s",
		mapping->totals ? "the metadata context has too many types of extents"
				: "the map has too many extents to be kept: --totals needs not to");
	result = nbdt_client_block_status(
		mapping->asking.client, 0, mapping->map.size, 0, take_extent, mapping, err);
	if (result == -ENOMEM)
		nbdt_error_errno(err, result, "cannot keep the map");
	return result;
}

enum command_status list_map(const struct nbdt_uri *uri, const struct list_options *options)
{
	struct mapping mapping = {
		.map.context = options->context,
		.totals = options->totals,
		.terminal = verbosity != QUIET && isatty(STDERR_FILENO),
	};
	enum command_status status = STATUS_DONE;
	struct nbdt_error err;

	ask_begin(&mapping.asking, uri, options->timeout, PATIENCE);
	int result = gather(&mapping, &err);
	ask_close(&mapping.asking);
	end_progress(&mapping);
	if (result)
		status = report(NULL, &err);
	else if (options->totals)
		print_map_totals(&mapping.map, options->table.json);
	else
		print_map(&mapping.map, options->table.json);
	extents_clear(&mapping.map.extents);
	extent_totals_clear(&mapping.map.totals);
	return status;
}
