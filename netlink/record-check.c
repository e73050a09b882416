/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a record still speaks of the kernel's attachment: by the identifier kept there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device-internal.h"
#include "process.h"
#include "record-internal.h"

#define PREFIX "nbd-tools:"
#define UUID_LENGTH 36
/* The kernel shows it through a page of sysfs, newline included. */
#define MAX_IDENTIFIER 3999

/* Cuts at a whole character of UTF-8: the first byte of one is not 10xxxxxx. */
static void cut_text(char *text, size_t length)
{
	if (strlen(text) <= length)
		return;
	while (length && ((unsigned char)text[length] & 0xc0) == 0x80)
		length--;
	text[length] = '\0';
}

char *nbdt_record_identifier(const struct nbdt_record *record)
{
	char *text;

	if (asprintf(&text, PREFIX "%s:%s", record->uuid, record->source) < 0)
		return NULL;
	cut_text(text, MAX_IDENTIFIER);
	/* The kernel's own text ends at a newline, which a file's name may well contain. */
	for (char *at = text; *at; at++)
		if (*at == '\n')
			*at = '?';
	return text;
}

/* The UUID part of an identifier of ours; NULL if it is none. */
static const char *find_uuid(const char *identifier)
{
	char uuid[UUID_LENGTH + 1];

	if (strncmp(identifier, PREFIX, strlen(PREFIX)) != 0)
		return NULL;
	const char *at = identifier + strlen(PREFIX);
	if (strnlen(at, UUID_LENGTH + 1) <= UUID_LENGTH || at[UUID_LENGTH] != ':')
		return NULL;
	memcpy(uuid, at, UUID_LENGTH);
	uuid[UUID_LENGTH] = '\0';
	return record_is_uuid(uuid) ? at : NULL;
}

const char *nbdt_record_identifier_source(const char *identifier)
{
	const char *uuid = find_uuid(identifier);

	return uuid ? uuid + UUID_LENGTH + 1 : NULL;
}

static bool is_attached(const struct nbdt_record *record, const struct nbdt_device_info *info,
	const struct record_facts *facts)
{
	if (!info->pid)
		return false;
	if (info->backend[0]) {
		const char *uuid = find_uuid(info->backend);

		return !record->ioctl && uuid && !strncmp(uuid, record->uuid, UUID_LENGTH);
	}
	/* The kernel's pid is the thread that stays in NBD_DO_IT, and the device ends with it. */
	if (record->ioctl)
		return facts->keeper_runs && facts->is_keepers_thread;
	/* Nothing better is known on old kernels than that somebody attached it. */
	return !facts->has_identifiers;
}

enum nbdt_record_life record_judge(const struct nbdt_record *record,
	const struct nbdt_device_info *info, const struct record_facts *facts)
{
	if (info->index != record->index || !is_attached(record, info, facts))
		return NBDT_RECORD_STALE;
	return !record->pid || facts->keeper_runs ? NBDT_RECORD_LIVE : NBDT_RECORD_DEAD;
}

enum nbdt_record_life nbdt_record_check(
	const struct nbdt_record *record, const struct nbdt_device_info *info)
{
	const struct record_facts facts = {
		.keeper_runs = process_is_running(record->pid, record->start_time),
		.is_keepers_thread = record->pid && process_has_thread(record->pid, info->pid),
		.has_identifiers = device_kernel_has_identifiers(),
	};

	return record_judge(record, info, &facts);
}
