/* SPDX-License-Identifier: Apache-2.0 */
/* Extents and their totals, as text and JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "list-map.h"

#define DESCRIPTION_SIZE 48

/* In the words of nbdinfo, or NULL: what the flags of other contexts mean is not known here. */
static const char *describe(const char *context, uint64_t flags, char buffer[DESCRIPTION_SIZE])
{
	static const char *const allocations[] = { "data", "hole", "zero", "hole,zero" };
	static const char *const bits[] = { "clean", "dirty" };
	static const char *const depths[] = { "absent", "local" };
	static const char bitmap[] = "qemu:dirty-bitmap:";

	if (!strcmp(context, "base:allocation"))
		return flags < 4 ? allocations[flags] : NULL;
	if (!strncmp(context, bitmap, strlen(bitmap)))
		return flags < 2 ? bits[flags] : NULL;
	if (strcmp(context, "qemu:allocation-depth") != 0)
		return NULL;
	if (flags < 2)
		return depths[flags];
	snprintf(buffer, DESCRIPTION_SIZE, "backing depth %" PRIu64, flags);
	return buffer;
}

/* The end of a line: type and description. */
static void print_type(const char *context, uint64_t flags, const char *blanks, bool json)
{
	char buffer[DESCRIPTION_SIZE];
	const char *description = describe(context, flags, buffer);

	if (!json)
		printf("%s%3" PRIu64 "%s%s\n", blanks, flags, description ? blanks : "",
			description ? description : "");
	else if (description)
		printf("\"type\": %" PRIu64 ", \"description\": \"%s\" }", flags, description);
	else
		printf("\"type\": %" PRIu64 " }", flags);
}

void print_map(const struct map *map, bool json)
{
	struct nbdt_extent extent;
	uint64_t offset = 0;
	size_t at = 0;

	if (json)
		putchar('[');
	while (extents_next(&map->extents, &at, &extent)) {
		if (json)
			printf("%s\n{ \"offset\": %" PRIu64 ", \"length\": %" PRIu64 ", ",
				offset ? "," : "", offset, extent.length);
		else
			printf("%10" PRIu64 "  %10" PRIu64, offset, extent.length);
		print_type(map->context, extent.flags, "  ", json);
		offset += extent.length;
	}
	if (json)
		puts("\n]");
}

void print_map_totals(const struct map *map, bool json)
{
	if (json)
		putchar('[');
	for (size_t i = 0; i < map->totals.count; i++) {
		const struct extent_total *total = &map->totals.list[i];
		double percent = 100.0 * (double)total->length / (double)map->size;

		if (json)
			printf("%s\n{ \"size\": %" PRIu64 ", \"percent\": %g, ", i ? "," : "",
				total->length, percent);
		else
			printf("%10" PRIu64 " %5.1f%%", total->length, percent);
		print_type(map->context, total->flags, " ", json);
	}
	if (json)
		puts("\n]");
}
