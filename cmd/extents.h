/* SPDX-License-Identifier: Apache-2.0 */
/* Extents kept for later, in few bytes each and within a limit; or only their sum by type. */
#ifndef NBDT_EXTENTS_H
#define NBDT_EXTENTS_H

#include "command.h"

/* All zero at first. */
struct extents {
	unsigned char *bytes;
	size_t length, room;
};

/*
 * -E2BIG: more than 64 MiB, which 3 million extents do not reach, and 16 million may not; -ENOMEM.
 */
int extents_add(struct extents *extents, const struct nbdt_extent *extent);
/* The one at *AT, which is 0 for the first and moves on; false: there are no more. */
bool extents_next(const struct extents *extents, size_t *at, struct nbdt_extent *extent);
void extents_clear(struct extents *extents);

struct extent_total {
	uint64_t flags;
	uint64_t length; /* bytes, of all extents with these flags */
};

/* All zero at first; ascending by flags. */
struct extent_totals {
	struct extent_total *list;
	size_t count;
};

/* -E2BIG: more than 4096 kinds; -ENOMEM. */
int extent_totals_add(struct extent_totals *totals, const struct nbdt_extent *extent);
void extent_totals_clear(struct extent_totals *totals);

#endif
