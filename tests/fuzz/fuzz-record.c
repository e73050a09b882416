/* SPDX-License-Identifier: Apache-2.0 */
/* Records of devices, as anybody may have left them. What was read must survive being written. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "record-internal.h"

static void check_round_trip(const struct nbdt_record *record)
{
	struct nbdt_record again;
	char *text = record_format(record);

	fuzz_check(text, "no memory");
	fuzz_check(!record_parse(text, strlen(text), &again), "what was written cannot be read");
	fuzz_check(again.index == record->index && again.kind == record->kind
			&& again.pid == record->pid && again.start_time == record->start_time
			&& again.timeout == record->timeout && again.offset == record->offset
			&& again.size_limit == record->size_limit
			&& again.file_dev == record->file_dev && again.file_ino == record->file_ino,
		"a number has changed");
	fuzz_check(!again.name == !record->name, "the name has come or gone");
	fuzz_check(!again.name || !strcmp(again.name, record->name), "the name has changed");
	fuzz_check(!strcmp(again.source, record->source), "the source has changed");
	fuzz_check(!strcmp(again.uuid, record->uuid), "the UUID has changed");
	nbdt_record_free(&again);
	free(text);
}

static void check_identifier(const struct nbdt_record *record)
{
	char *identifier = nbdt_record_identifier(record);

	fuzz_check(identifier, "no memory");
	fuzz_check(nbdt_record_identifier_source(identifier), "the identifier is none of ours");
	free(identifier);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nbdt_record record;
	char *text = strndup((const char *)data, size);

	fuzz_check(text, "no memory");
	/* Not terminated: the sanitizer finds whoever reads on. */
	if (!record_parse((const char *)data, size, &record)) {
		check_round_trip(&record);
		check_identifier(&record);
		nbdt_record_free(&record);
	}
	nbdt_record_identifier_source(text);
	free(text);
	return 0;
}
