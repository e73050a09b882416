/* SPDX-License-Identifier: Apache-2.0 */
/* A description of extents under way, as the devices' operation "extents" gives it. */
#ifndef NBDT_EXTENTS_H
#define NBDT_EXTENTS_H

#include "nbdtools.h"

struct extent_list {
	uint64_t at, end; /* what is to be described yet, bytes of the device */
	struct nbdt_extent *extents;
	size_t count, limit;
};

/* Nothing is left to describe, or no room for it. */
bool extent_list_full(const struct extent_list *list);

/* Goes on to the offset TO, or to the end of the range; neighbours that are alike become one. */
void extent_list_extend(struct extent_list *list, uint64_t to, uint64_t flags);

#endif
