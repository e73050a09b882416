/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-list without a server: this machine's devices. */
#include <stdio.h>
#include <string.h>

#include "devices.h"
#include "nbd-list.h"

enum {
	DEVICE, SIZE, RO, STATE, KIND, SOURCE, CONNS, TLS, TIMEOUT, PID, MOUNTPOINTS, REF, ENTRY,
};

const struct column list_columns[LIST_COLUMN_COUNT] = {
	[DEVICE] = { "DEVICE", COLUMN_STRING, "device" },
	[SIZE] = { "SIZE", COLUMN_SIZE, "size" },
	[RO] = { "RO", COLUMN_BOOLEAN, "read-only" },
	[STATE] = { "STATE", COLUMN_STRING, "connected, dead, open, in-use-after-disconnect" },
	[KIND] = { "KIND", COLUMN_STRING, "loop, remote, or foreign: not attached by nbd-tools" },
	[SOURCE] = { "SOURCE", COLUMN_STRING, "image file or URI" },
	[CONNS] = { "CONNS", COLUMN_NUMBER, "connections" },
	[TLS] = { "TLS", COLUMN_BOOLEAN, "encrypted" },
	[TIMEOUT] = { "TIMEOUT", COLUMN_NUMBER, "time for one request, in seconds" },
	[PID] = { "PID", COLUMN_NUMBER, "process that serves or keeps it, or else attached it" },
	[MOUNTPOINTS] = { "MOUNTPOINTS", COLUMN_STRING, "where it or its partitions are mounted" },
	[REF] = { "REF", COLUMN_STRING, "identifier in the kernel" },
	[ENTRY] = { "ENTRY", COLUMN_STRING, "name of its entry in nbdtab or /etc/nbd" },
};

#define DEFAULT_COLUMNS "DEVICE,SIZE,RO,STATE,KIND,SOURCE,CONNS,PID,MOUNTPOINTS"

static void add_record_cells(struct table *table, const struct nbdt_record *record)
{
	table_set_number(table, CONNS, record->connections);
	table_set(table, ENTRY, record->name);
	table_set_boolean(table, TLS, false);
	table_set_number(table, TIMEOUT, record->timeout);
}

static void add_attached_cells(struct table *table, const struct known_device *device)
{
	char mountpoints[4096];

	table_set(table, KIND, device_kind(device));
	table_set(table, SOURCE, device_source(device));
	if (device->info.backend[0])
		table_set(table, REF, device->info.backend);
	if (device_pid(device))
		table_set_number(table, PID, (uint64_t)device_pid(device));
	if (nbdt_device_mountpoints(device->info.index, mountpoints, sizeof(mountpoints)))
		table_set(table, MOUNTPOINTS, mountpoints);
	if (device->has_record)
		add_record_cells(table, &device->record);
}

static void add_device(struct table *table, const struct known_device *device)
{
	char path[DEVICE_PATH_SIZE];

	device_path(device->info.index, path);
	table_add_row(table);
	table_set(table, DEVICE, path);
	table_set_number(table, SIZE, device->info.size);
	table_set_boolean(table, RO, device->info.read_only);
	table_set(table, STATE, device_state(device));
	if (is_attached(device))
		add_attached_cells(table, device);
}

static bool is_wanted(const struct known_device *device, int index, bool free_too)
{
	if (index != NBDT_INDEX_ANY)
		return device->info.index == index;
	return free_too || device->info.state != NBDT_DEVICE_FREE;
}

enum command_status list_devices(int index, const struct list_options *options)
{
	struct known_device *devices;
	struct nbdt_error err;
	size_t count;
	bool found = false;

	if (read_devices(&devices, &count, &err))
		return report(NULL, &err);
	struct table *table = table_new(
		list_columns, LIST_COLUMN_COUNT, DEFAULT_COLUMNS, &options->table, "devices");
	for (size_t i = 0; table && i < count; i++) {
		if (!is_wanted(&devices[i], index, options->all))
			continue;
		add_device(table, &devices[i]);
		found = true;
	}
	free_devices(devices, count);
	if (!table)
		return STATUS_USAGE;
	enum command_status status = table_print(table);
	if (index == NBDT_INDEX_ANY || found || status)
		return status;
	say_error("nbd%d: no such device", index);
	return STATUS_NOT_FOUND;
}
