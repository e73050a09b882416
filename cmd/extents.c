/* SPDX-License-Identifier: Apache-2.0 */
#include "extents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MAXIMUM (64u * 1024 * 1024) /* bytes */
#define ROOM_AT_FIRST 4096u
/* Of seven bits a byte, for length and flags. */
#define EXTENT_LONGEST 20u
/* Flags are bits, or a depth; nobody reads a longer summary. */
#define TOTALS_MAXIMUM 4096u

static int make_room(struct extents *extents)
{
	if (extents->room - extents->length >= EXTENT_LONGEST)
		return 0;
	size_t room = extents->room ? extents->room * 2 : ROOM_AT_FIRST;
	if (room > ROOM_MAXIMUM)
		return -E2BIG;
	unsigned char *bytes = realloc(extents->bytes, room);
	if (!bytes)
		return -ENOMEM;
	extents->bytes = bytes;
	extents->room = room;
	return 0;
}

/* Seven bits in each byte, the lowest first; the eighth says that more follow. */
static void put(struct extents *extents, uint64_t number)
{
	for (; number >= 0x80; number >>= 7)
		extents->bytes[extents->length++] = (unsigned char)(number | 0x80);
	extents->bytes[extents->length++] = (unsigned char)number;
}

static uint64_t get(const struct extents *extents, size_t *at)
{
	uint64_t number = 0;
	unsigned int shift = 0;
	unsigned char byte;

	do {
		byte = extents->bytes[(*at)++];
		number |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	return number;
}

int extents_add(struct extents *extents, const struct nbdt_extent *extent)
{
	int result = make_room(extents);

	if (result)
		return result;
	put(extents, extent->length);
	put(extents, extent->flags);
	return 0;
}

bool extents_next(const struct extents *extents, size_t *at, struct nbdt_extent *extent)
{
	if (*at == extents->length)
		return false;
	extent->length = get(extents, at);
	extent->flags = get(extents, at);
	return true;
}

void extents_clear(struct extents *extents)
{
	free(extents->bytes);
	*extents = (struct extents){ 0 };
}

/* The place of the first total whose flags are not below these. */
static size_t find_total(const struct extent_totals *totals, uint64_t flags)
{
	size_t low = 0, high = totals->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (totals->list[middle].flags < flags)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int insert_total(struct extent_totals *totals, size_t place, uint64_t flags)
{
	if (totals->count == TOTALS_MAXIMUM)
		return -E2BIG;
	struct extent_total *list = reallocarray(totals->list, totals->count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	memmove(&list[place + 1], &list[place], (totals->count - place) * sizeof(*list));
	list[place] = (struct extent_total){ .flags = flags };
	totals->list = list;
	totals->count++;
	return 0;
}

int extent_totals_add(struct extent_totals *totals, const struct nbdt_extent *extent)
{
	size_t place = find_total(totals, extent->flags);
	int result = 0;

	if (place == totals->count || totals->list[place].flags != extent->flags)
		result = insert_total(totals, place, extent->flags);
	if (!result)
		totals->list[place].length += extent->length;
	return result;
}

void extent_totals_clear(struct extent_totals *totals)
{
	free(totals->list);
	*totals = (struct extent_totals){ 0 };
}
