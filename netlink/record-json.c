/* SPDX-License-Identifier: Apache-2.0 */
/* Records as JSON text. What is read may be damaged, or by somebody else: no value is believed. */
#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "record-internal.h"

#define FORMAT_VERSION 1
#define MAX_DEPTH 4

static const char *const kind_names[] = {
	[NBDT_KIND_LOOP] = "loop",
	[NBDT_KIND_REMOTE] = "remote",
};

#define KIND_COUNT (sizeof(kind_names) / sizeof(kind_names[0]))

bool record_is_uuid(const char *text)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (strlen(text) != sizeof(shape) - 1)
		return false;
	for (size_t i = 0; shape[i]; i++) {
		bool hexadecimal = isxdigit((unsigned char)text[i]) &&
			!isupper((unsigned char)text[i]);

		if (shape[i] == '-' ? text[i] != '-' : !hexadecimal)
			return false;
	}
	return true;
}

/* Each returns false when there was no memory. */

static bool add_value(struct json_object *object, const char *key, struct json_object *value)
{
	if (!value)
		return false;
	if (json_object_object_add(object, key, value)) {
		json_object_put(value);
		return false;
	}
	return true;
}

static bool add_number(struct json_object *object, const char *key, uint64_t value)
{
	return add_value(object, key, json_object_new_uint64(value));
}

static bool add_bool(struct json_object *object, const char *key, bool value)
{
	return add_value(object, key, json_object_new_boolean(value));
}

static bool add_string(struct json_object *object, const char *key, const char *value)
{
	return add_value(object, key, json_object_new_string(value));
}

static bool add_loop_facts(struct json_object *object, const struct nbdt_record *record)
{
	return add_number(object, "file-dev", record->file_dev) &&
		add_number(object, "file-ino", record->file_ino) &&
		add_number(object, "offset", record->offset) &&
		add_number(object, "size-limit", record->size_limit) &&
		add_bool(object, "direct-io", record->direct_io);
}

static bool add_facts(struct json_object *object, const struct nbdt_record *record)
{
	return add_number(object, "version", FORMAT_VERSION) &&
		add_number(object, "index", (uint64_t)record->index) &&
		add_string(object, "kind", kind_names[record->kind]) &&
		(!record->name || add_string(object, "name", record->name)) &&
		add_string(object, "source", record->source) &&
		add_string(object, "uuid", record->uuid) &&
		add_number(object, "pid", (uint64_t)record->pid) &&
		add_number(object, "start-time", record->start_time) &&
		add_number(object, "connections", record->connections) &&
		add_number(object, "timeout", record->timeout) &&
		add_bool(object, "read-only", record->read_only) &&
		add_bool(object, "ioctl", record->ioctl) &&
		(record->kind != NBDT_KIND_LOOP || add_loop_facts(object, record));
}

char *record_format(const struct nbdt_record *record)
{
	char *text = NULL;

	struct json_object *object = json_object_new_object();
	if (object && add_facts(object, record)) {
		const char *json = json_object_to_json_string_ext(
			object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);

		text = json ? strdup(json) : NULL;
	}
	json_object_put(object);
	return text;
}

/* Each returns false when the value is missing, of another type, or out of range. */

static bool get_number(
	struct json_object *object, const char *key, uint64_t limit, uint64_t *value)
{
	struct json_object *found;

	if (!json_object_object_get_ex(object, key, &found) ||
		!json_object_is_type(found, json_type_int) || json_object_get_int64(found) < 0)
		return false;
	*value = json_object_get_uint64(found);
	return *value <= limit;
}

static bool get_bool(struct json_object *object, const char *key, bool *value)
{
	struct json_object *found;

	if (!json_object_object_get_ex(object, key, &found) ||
		!json_object_is_type(found, json_type_boolean))
		return false;
	*value = json_object_get_boolean(found);
	return true;
}

/* A string without NUL inside, shorter than SIZE; NULL otherwise. Lives as long as OBJECT. */
static const char *get_string(struct json_object *object, const char *key, size_t size)
{
	struct json_object *found;

	if (!json_object_object_get_ex(object, key, &found) ||
		!json_object_is_type(found, json_type_string))
		return NULL;
	const char *text = json_object_get_string(found);
	size_t length = (size_t)json_object_get_string_len(found);
	return length && length < size && strlen(text) == length ? text : NULL;
}

static bool get_kind(struct json_object *object, enum nbdt_record_kind *kind)
{
	const char *name = get_string(object, "kind", 16);

	for (size_t i = 0; name && i < KIND_COUNT; i++)
		if (!strcmp(name, kind_names[i])) {
			*kind = (enum nbdt_record_kind)i;
			return true;
		}
	return false;
}

/* The record of an attachment without an entry has none. */
static bool get_name(struct json_object *object, const char **name)
{
	if (!json_object_object_get_ex(object, "name", NULL))
		return true;
	*name = get_string(object, "name", NBDT_MAX_ENTRY_NAME + 1);
	return *name && nbdt_entry_name_valid(*name);
}

static bool get_uuid(struct json_object *object, struct nbdt_record *record)
{
	const char *uuid = get_string(object, "uuid", sizeof(record->uuid));

	if (!uuid || !record_is_uuid(uuid))
		return false;
	memcpy(record->uuid, uuid, sizeof(record->uuid));
	return true;
}

static bool get_loop_facts(struct json_object *object, struct nbdt_record *record)
{
	return get_number(object, "file-dev", UINT64_MAX, &record->file_dev) &&
		get_number(object, "file-ino", UINT64_MAX, &record->file_ino) &&
		get_number(object, "offset", INT64_MAX, &record->offset) &&
		get_number(object, "size-limit", INT64_MAX, &record->size_limit) &&
		get_bool(object, "direct-io", &record->direct_io);
}

/* All but the strings, which need memory. */
static bool get_facts(struct json_object *object, struct nbdt_record *record)
{
	uint64_t version, index, pid, connections;

	if (!get_number(object, "version", FORMAT_VERSION, &version) ||
		!get_number(object, "index", INT_MAX, &index) ||
		!get_number(object, "pid", INT_MAX, &pid) ||
		!get_number(object, "connections", UINT_MAX, &connections))
		return false;
	record->index = (int)index;
	record->pid = (pid_t)pid;
	record->connections = (unsigned int)connections;
	return version == FORMAT_VERSION && get_kind(object, &record->kind) &&
		get_uuid(object, record) &&
		get_number(object, "start-time", UINT64_MAX, &record->start_time) &&
		get_number(object, "timeout", UINT64_MAX, &record->timeout) &&
		get_bool(object, "read-only", &record->read_only) &&
		get_bool(object, "ioctl", &record->ioctl) &&
		(record->kind != NBDT_KIND_LOOP || get_loop_facts(object, record));
}

/* One object and nothing behind it but blanks. NULL: it is none. */
static struct json_object *parse_object(const char *text, size_t length)
{
	struct json_object *object = NULL;

	if (length > RECORD_MAX_FILE)
		return NULL;
	struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	if (!tokener)
		return NULL;
	object = json_tokener_parse_ex(tokener, text, (int)length);
	size_t end = json_tokener_get_parse_end(tokener);
	while (end < length && isspace((unsigned char)text[end]))
		end++;
	json_tokener_free(tokener);
	if (end < length || !json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		return NULL;
	}
	return object;
}

int record_parse(const char *text, size_t length, struct nbdt_record *record)
{
	const char *name = NULL;
	int result = -EINVAL;

	memset(record, 0, sizeof(*record));
	struct json_object *object = parse_object(text, length);
	if (!object)
		return result;
	const char *source = get_string(object, "source", RECORD_MAX_SOURCE + 1);
	if (source && get_name(object, &name) && get_facts(object, record)) {
		record->source = strdup(source);
		record->name = name ? strdup(name) : NULL;
		result = record->source && (record->name || !name) ? 0 : -ENOMEM;
	}
	json_object_put(object);
	if (result) {
		nbdt_record_free(record);
		memset(record, 0, sizeof(*record));
	}
	return result;
}
