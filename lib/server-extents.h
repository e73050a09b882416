/* SPDX-License-Identifier: Apache-2.0 */
/* Where an export has holes: for block status, and for reads that send none of their zeroes. */
#ifndef NBDT_SERVER_EXTENTS_H
#define NBDT_SERVER_EXTENTS_H

#include <stdbool.h>

/* The number by which clients know "base:allocation". */
#define ALLOCATION_CONTEXT 1u
/* Bytes of the buffer in which slot_find_status() leaves the extents. */
#define STATUS_BUFFER 16384u

struct slot;

/*
 * Looks for holes in the range of a READ, and lays out the chunks of its reply accordingly; not
 * for simple replies. True:
 * there is nothing but a hole, and nothing needs to be read.
 */
bool slot_find_holes(struct slot *slot);

/* Carries out a BLOCK_STATUS: the descriptors, as the wire has them, become the slot's data. */
int slot_find_status(struct slot *slot);

#endif
