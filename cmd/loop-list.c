/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-loop's listings, with losetup's columns. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "devices.h"
#include "nbd-loop.h"

enum {
	NAME, SIZE, SIZELIMIT, OFFSET, AUTOCLEAR, PARTSCAN, RO, BACK_FILE, BACK_INO, BACK_MAJ_MIN,
	MAJ_MIN, DIO, LOG_SEC, REF, CONNS, STATE, PID,
};

const struct column loop_columns[LOOP_COLUMN_COUNT] = {
	[NAME] = { "NAME", COLUMN_STRING, "device" },
	[SIZE] = { "SIZE", COLUMN_SIZE, "size of the device" },
	[SIZELIMIT] = { "SIZELIMIT", COLUMN_NUMBER, "size limit in the file, in bytes" },
	[OFFSET] = { "OFFSET", COLUMN_NUMBER, "offset in the file, in bytes" },
	[AUTOCLEAR] = { "AUTOCLEAR", COLUMN_BOOLEAN, "detaches at the last close" },
	[PARTSCAN] = { "PARTSCAN", COLUMN_BOOLEAN, "partitions are scanned" },
	[RO] = { "RO", COLUMN_BOOLEAN, "read-only" },
	[BACK_FILE] = { "BACK-FILE", COLUMN_STRING, "image file" },
	[BACK_INO] = { "BACK-INO", COLUMN_NUMBER, "image file's inode" },
	[BACK_MAJ_MIN] = { "BACK-MAJ:MIN", COLUMN_STRING, "image file's device" },
	[MAJ_MIN] = { "MAJ:MIN", COLUMN_STRING, "device numbers" },
	[DIO] = { "DIO", COLUMN_BOOLEAN, "direct I/O" },
	[LOG_SEC] = { "LOG-SEC", COLUMN_NUMBER, "logical block size, in bytes" },
	[REF] = { "REF", COLUMN_STRING, "identifier in the kernel" },
	[CONNS] = { "CONNS", COLUMN_NUMBER, "connections" },
	[STATE] = { "STATE", COLUMN_STRING, "connected, dead, in-use-after-disconnect" },
	[PID] = { "PID", COLUMN_NUMBER, "server process" },
};

#define DEFAULT_COLUMNS "NAME,SIZE,SIZELIMIT,OFFSET,RO,BACK-FILE,DIO,LOG-SEC,STATE,PID"

static bool matches(const struct known_device *device, const struct loop_filter *filter)
{
	const char *kind = device_kind(device);

	if (!kind || strcmp(kind, "loop"))
		return false;
	if (filter->index != NBDT_INDEX_ANY && filter->index != device->info.index)
		return false;
	if (filter->file && !device_has_source(device, filter->file))
		return false;
	return !filter->has_offset
	       || (device->has_record && device->record.offset == filter->offset);
}

static void format_numbers(char *text, size_t size, unsigned int major, unsigned int minor)
{
	snprintf(text, size, "%u:%u", major, minor);
}

static void add_record_cells(struct table *table, const struct nbdt_record *record)
{
	char numbers[32];

	format_numbers(numbers, sizeof(numbers), major(record->file_dev), minor(record->file_dev));
	table_set_number(table, SIZELIMIT, record->size_limit);
	table_set_number(table, OFFSET, record->offset);
	table_set_number(table, BACK_INO, record->file_ino);
	table_set(table, BACK_MAJ_MIN, numbers);
	table_set_boolean(table, DIO, record->direct_io);
	table_set_number(table, CONNS, record->connections);
}

static void add_device(struct table *table, const struct known_device *device)
{
	const struct nbdt_device_info *info = &device->info;
	char path[DEVICE_PATH_SIZE], numbers[32];

	device_path(info->index, path);
	format_numbers(numbers, sizeof(numbers), info->major, info->minor);
	table_add_row(table);
	table_set(table, NAME, path);
	table_set_number(table, SIZE, info->size);
	table_set_boolean(table, AUTOCLEAR, false);
	table_set_boolean(table, PARTSCAN, true);
	table_set_boolean(table, RO, info->read_only);
	table_set(table, BACK_FILE, device_source(device));
	table_set(table, MAJ_MIN, numbers);
	table_set_number(table, LOG_SEC, info->block_size);
	table_set(table, REF, info->backend[0] ? info->backend : NULL);
	table_set(table, STATE, device_state(device));
	table_set_number(table, PID, (uint64_t)device_pid(device));
	if (device->has_record)
		add_record_cells(table, &device->record);
}

enum command_status loop_list(const struct loop_filter *filter, const struct table_options *options)
{
	struct known_device *devices;
	struct nbdt_error err;
	size_t count;
	bool found = false;

	if (read_devices(&devices, &count, &err))
		return report(NULL, &err);
	struct table *table = table_new(
		loop_columns, LOOP_COLUMN_COUNT, DEFAULT_COLUMNS, options, "loopdevices");
	for (size_t i = 0; table && i < count; i++) {
		if (!matches(&devices[i], filter))
			continue;
		add_device(table, &devices[i]);
		found = true;
	}
	free_devices(devices, count);
	if (!table)
		return STATUS_USAGE;
	enum command_status status = table_print(table);
	if (filter->index == NBDT_INDEX_ANY || found || status)
		return status;
	say_error("nbd%d is no device of nbd-loop", filter->index);
	return STATUS_NOT_FOUND;
}

static void print_associated(const struct known_device *device)
{
	const struct nbdt_record *record = &device->record;

	printf("/dev/nbd%d: []: (%s)", device->info.index, device_source(device));
	if (device->has_record && record->offset)
		printf(", offset %" PRIu64, record->offset);
	if (device->has_record && record->size_limit)
		printf(", sizelimit %" PRIu64, record->size_limit);
	putchar('\n');
}

enum command_status loop_list_associated(const struct loop_filter *filter)
{
	struct known_device *devices;
	struct nbdt_error err;
	size_t count;

	if (read_devices(&devices, &count, &err))
		return report(NULL, &err);
	for (size_t i = 0; i < count; i++)
		if (matches(&devices[i], filter))
			print_associated(&devices[i]);
	free_devices(devices, count);
	return STATUS_DONE;
}
