/* SPDX-License-Identifier: Apache-2.0 */
#include "extents.h"

bool extent_list_full(const struct extent_list *list)
{
	return list->at == list->end || list->count == list->limit;
}

void extent_list_extend(struct extent_list *list, uint64_t to, uint64_t flags)
{
	if (to > list->end)
		to = list->end;
	if (to <= list->at)
		return;
	if (list->count && list->extents[list->count - 1].flags == flags) {
		list->extents[list->count - 1].length += to - list->at;
	} else if (list->count < list->limit) {
		list->extents[list->count++] =
			(struct nbdt_extent){ .length = to - list->at, .flags = flags };
	} else {
		return;
	}
	list->at = to;
}
