/* SPDX-License-Identifier: Apache-2.0 */
/* Records in any folder, so that tests can bring one of their own. */
#ifndef NBDT_RECORD_INTERNAL_H
#define NBDT_RECORD_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "nbdtools-kernel.h"

/* Bytes of a source, and of a whole record: more was not written by us. */
#define RECORD_MAX_SOURCE 16384
#define RECORD_MAX_FILE 131072

/* A UUID in lower case with dashes. */
bool record_is_uuid(const char *text);

/* A record as JSON text, for free(); NULL: no memory. */
char *record_format(const struct nbdt_record *record);
/* Reads what record_format() made, for nbdt_record_free(). -EINVAL it is damaged; -ENOMEM. */
int record_parse(const char *text, size_t length, struct nbdt_record *record);

/* As their namesakes, in the folder that FOLDER has open. */
int record_lock_at(int folder, unsigned int milliseconds, struct nbdt_error *err);
int record_write_at(int folder, const struct nbdt_record *record, struct nbdt_error *err);
int record_read_at(int folder, int index, struct nbdt_record *record, struct nbdt_error *err);
/* 1: there was one to remove. */
int record_remove_at(int folder, int index, const char *uuid, struct nbdt_error *err);

/*
 * nbdt_record_check() with its circumstances as arguments: whether the keeper runs, whether the
 * kernel's pid of an ioctl attachment is a thread of it, and whether this kernel keeps identifiers.
 */
struct record_facts {
	bool keeper_runs, is_keepers_thread, has_identifiers;
};
enum nbdt_record_life record_judge(const struct nbdt_record *record,
	const struct nbdt_device_info *info, const struct record_facts *facts);

#endif
