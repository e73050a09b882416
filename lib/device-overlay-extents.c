/* SPDX-License-Identifier: Apache-2.0 */
/* Where an overlay has holes: in its own file where that has the cluster, else in the base. */
#include <errno.h>
#include <unistd.h>

#include "device-overlay.h"
#include "extents.h"

/*
 * Runs of clusters looked at for one answer: holes of the overlay and of its base may take turns,
 * and become one extent.
 */
#define RUNS 4096

#define HOLE (NBDT_EXTENT_HOLE | NBDT_EXTENT_ZERO)

/* Are these and the next 63 alike? Asked where a word of them begins, for the sake of speed. */
static bool is_uniform(const struct overlay *overlay, uint64_t cluster, bool present)
{
	return cluster % 64 == 0 && atomic_load_explicit(&overlay->present[cluster / 64],
					    memory_order_acquire) == (present ? UINT64_MAX : 0);
}

/* Up to where, within the range, the clusters are present like the first one is, or are not. */
static uint64_t end_of_run(
	const struct overlay *overlay, const struct extent_list *list, bool present)
{
	uint64_t last = (list->end - 1) / OVERLAY_CLUSTER;
	uint64_t cluster = list->at / OVERLAY_CLUSTER;

	while (cluster <= last && overlay_has(overlay, cluster) == present)
		cluster += is_uniform(overlay, cluster, present) ? 64 : 1;
	uint64_t end = cluster * OVERLAY_CLUSTER;
	return end < list->end ? end : list->end;
}

/* What a filesystem cannot tell is data. */
static uint64_t seek(const struct overlay *overlay, uint64_t at, int whence, uint64_t unknown)
{
	off_t found = lseek(overlay->fd, (off_t)(overlay->data_start + at), whence);

	if (found < 0)
		return errno == ENXIO ? UINT64_MAX : unknown;
	return (uint64_t)found - overlay->data_start;
}

static void describe_own(struct overlay *overlay, struct extent_list *list, uint64_t end)
{
	while (list->at < end && !extent_list_full(list)) {
		uint64_t data = seek(overlay, list->at, SEEK_DATA, list->at);

		extent_list_extend(list, data < end ? data : end, HOLE);
		if (list->at != data || extent_list_full(list))
			continue;
		uint64_t hole = seek(overlay, data, SEEK_HOLE, end);
		extent_list_extend(list, hole < end ? hole : end, 0);
	}
}

/* One step: the base may describe less than it is asked. */
static int describe_base(
	struct overlay *overlay, struct extent_list *list, uint64_t end, unsigned int flags)
{
	const struct nbdt_device_ops *ops = overlay->base->ops;
	struct nbdt_extent extents[64];
	size_t count = sizeof(extents) / sizeof(extents[0]);

	if (!ops->extents) {
		extent_list_extend(list, end, 0);
		return 0;
	}
	int result = ops->extents(overlay->base, list->at, end - list->at, flags, extents, &count);
	for (size_t i = 0; !result && i < count; i++) {
		uint64_t at = list->at;

		extent_list_extend(list, at + extents[i].length, extents[i].flags);
		if (list->at == at)
			break;
	}
	return result;
}

int overlay_extents(struct nbdt_device *device, uint64_t offset, uint64_t length,
	unsigned int flags, struct nbdt_extent *extents, size_t *count)
{
	struct overlay *overlay = (struct overlay *)device;
	struct extent_list list = {
		.at = offset,
		.end = offset + length,
		.extents = extents,
		.limit = *count,
	};
	int result = 0;

	for (int runs = 0; !result && runs < RUNS && !extent_list_full(&list); runs++) {
		bool present = overlay_has(overlay, list.at / OVERLAY_CLUSTER);
		uint64_t end = end_of_run(overlay, &list, present);
		uint64_t before = list.at;

		if (!present)
			result = describe_base(overlay, &list, end, flags);
		else if (flags & NBDT_EXTENTS_ROUGHLY)
			extent_list_extend(&list, end, 0);
		else
			describe_own(overlay, &list, end);
		if (list.at == before)
			break;
	}
	*count = list.count;
	return list.count ? 0 : result;
}
