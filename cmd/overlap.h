/* SPDX-License-Identifier: Apache-2.0 */
/* Two writers on one range of a file destroy it: who else has it attached? */
#ifndef NBDT_OVERLAP_H
#define NBDT_OVERLAP_H

#include "command.h"

/*
 * Looks for a writable attachment that overlaps RECORD's range of RECORD's file, among our devices
 * and the kernel's loop devices. SIZE is what RECORD's device covers, in bytes. Returns 0, or
 * -EBUSY and a sentence that names it. Only meaningful under nbdt_record_lock().
 */
int check_overlap(const struct nbdt_record *record, uint64_t size, struct nbdt_error *err);

#endif
