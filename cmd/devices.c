/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool is_attached(const struct known_device *device)
{
	return device->info.state == NBDT_DEVICE_CONNECTED
	       || device->info.state == NBDT_DEVICE_DISCONNECTED;
}

static void add_record(struct known_device *device)
{
	if (!is_attached(device) || nbdt_record_read(device->info.index, &device->record, NULL))
		return;
	enum nbdt_record_life life = nbdt_record_check(&device->record, &device->info);
	if (life == NBDT_RECORD_STALE) {
		nbdt_record_free(&device->record);
		return;
	}
	device->has_record = true;
	device->dead = life == NBDT_RECORD_DEAD;
}

int read_devices(struct known_device **devices, size_t *count, struct nbdt_error *err)
{
	struct nbdt_device_info *infos;

	*devices = NULL;
	int result = nbdt_device_list(&infos, count, err);
	if (result)
		return result;
	struct known_device *known = calloc(*count ? *count : 1, sizeof(*known));
	if (!known) {
		free(infos);
		*count = 0;
		return nbdt_error_errno(err, -ENOMEM, "list of devices");
	}
	for (size_t i = 0; i < *count; i++) {
		known[i].info = infos[i];
		add_record(&known[i]);
	}
	free(infos);
	*devices = known;
	return 0;
}

void free_devices(struct known_device *devices, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (devices[i].has_record)
			nbdt_record_free(&devices[i].record);
	free(devices);
}

const char *device_state(const struct known_device *device)
{
	switch (device->info.state) {
	case NBDT_DEVICE_FREE:
		return "free";
	case NBDT_DEVICE_OPEN:
		return "open";
	case NBDT_DEVICE_DISCONNECTED:
		return "in-use-after-disconnect";
	case NBDT_DEVICE_CONNECTED:
		break;
	}
	return device->dead ? "dead" : "connected";
}

const char *device_kind(const struct known_device *device)
{
	if (!is_attached(device))
		return NULL;
	if (device->has_record)
		return device->record.kind == NBDT_KIND_LOOP ? "loop" : "remote";
	/*
	 * Without its record, the kernel's identifier still has the source: files begin with '/'.
	 */
	const char *source = nbdt_record_identifier_source(device->info.backend);
	if (!source)
		return "foreign";
	return *source == '/' ? "loop" : "remote";
}

const char *device_source(const struct known_device *device)
{
	if (device->has_record)
		return device->record.source;
	if (!is_attached(device) || !device->info.backend[0])
		return NULL;
	const char *source = nbdt_record_identifier_source(device->info.backend);
	return source ? source : device->info.backend;
}

pid_t device_pid(const struct known_device *device)
{
	if (device->has_record)
		return device->record.pid;
	return device->info.pid;
}

int check_device(const char *text)
{
	int index = nbdt_device_parse(text, true);
	struct nbdt_device_info info;
	struct nbdt_error err;

	if (index < 0) {
		usage_error("%s: not an NBD device", text);
		return 2;
	}
	if (nbdt_device_get(index, &info, &err)) {
		report(NULL, &err);
		return 2;
	}
	if (info.state != NBDT_DEVICE_CONNECTED)
		return 1;
	printf("%d\n", info.pid);
	return finish_stdout(STATUS_DONE) ? 2 : 0;
}

bool device_has_source(const struct known_device *device, const char *source)
{
	const char *known = device_source(device);
	struct stat file;

	if (known && !strcmp(known, source))
		return true;
	if (!device->has_record || device->record.kind != NBDT_KIND_LOOP || stat(source, &file))
		return false;
	if (S_ISBLK(file.st_mode))
		return device->record.file_dev == file.st_rdev && !device->record.file_ino;
	return device->record.file_dev == file.st_dev && device->record.file_ino == file.st_ino;
}

static bool is_wished(const struct known_device *device, const struct device_wish *wish)
{
	const struct nbdt_record *record = &device->record;

	if (!device->has_record || device->dead || device->info.state != NBDT_DEVICE_CONNECTED)
		return false;
	if (wish->index != NBDT_INDEX_ANY && wish->index != device->info.index)
		return false;
	if (wish->entry && record->name)
		return !strcmp(wish->entry, record->name);
	return device_has_source(device, wish->source) && record->offset == wish->offset
	       && record->size_limit == wish->size_limit;
}

int find_device(const struct device_wish *wish)
{
	struct known_device *devices;
	int found = -ENODEV;
	size_t count;

	if (read_devices(&devices, &count, NULL))
		return found;
	for (size_t i = 0; i < count && found < 0; i++)
		if (is_wished(&devices[i], wish))
			found = devices[i].info.index;
	free_devices(devices, count);
	return found;
}

enum command_status tell_device(int index, bool already)
{
	const struct nbdt_detach_options force = { .force = true };
	struct nbdt_error err;

	/* A pipe that nobody reads must not end us before the device is detached. */
	signal(SIGPIPE, SIG_IGN);
	printf("/dev/nbd%d\n", index);
	enum command_status status = finish_stdout(STATUS_DONE);
	if (status && !already && nbdt_detach(index, &force, &err))
		report(NULL, &err);
	return status;
}
