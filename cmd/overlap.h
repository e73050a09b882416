/* SPDX-License-Identifier: Apache-2.0 */
/* Two writers on one range of a file destroy it: who else has it attached? */
#ifndef NBDT_OVERLAP_H
#define NBDT_OVERLAP_H

#include "command.h"

/*
 * Looks for a writable attachment that overlaps RECORD's range of RECORD's file, among our devices
 * and the kernel's loop devices. Without a size limit a range goes on for ever, as the file may
 * grow. Returns 0, or -EBUSY and a sentence that names it. Only meaningful under the record lock.
 */
int check_overlap(const struct nbdt_record *record, struct nbdt_error *err);

#endif
