/* SPDX-License-Identifier: Apache-2.0 */
/* What an export's metadata context said of all of it. */
#ifndef NBDT_LIST_MAP_H
#define NBDT_LIST_MAP_H

#include "extents.h"

struct map {
	const char *context;
	uint64_t size; /* bytes, of the export */
	struct extents extents;
	struct extent_totals totals;
};

/* list-map-print.c: on stdout, as nbdinfo does. */
void print_map(const struct map *map, bool json);
void print_map_totals(const struct map *map, bool json);

#endif
