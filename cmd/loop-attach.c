/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-loop's main job: a server in the background (or not), and its device. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "background.h"
#include "cleanup.h"
#include "entry.h"
#include "devices.h"
#include "memory-pressure.h"
#include "nbd-loop.h"
#include "notify.h"
#include "overlap.h"
#include "pid-file.h"
#include "resident.h"

#define SETTLE_TIMEOUT 30 /* seconds for partitions and udev */

/* For --idempotent: the number of the device, or negative. */
static int find_attached(const struct loop_options *options)
{
	CLEANUP_FREE char *path = realpath(options->file, NULL);
	const struct device_wish wish = {
		.entry = options->entry,
		.source = path,
		.index = options->index,
		.offset = options->image.file.offset,
		.size_limit = options->image.file.size_limit,
	};

	return options->idempotent && path ? find_device(&wish) : -ENODEV;
}

/* Where it finds the device attached already, RESIDENT gets no loopback, but its number. */
static int start_loopback(const struct loop_options *options, const struct nbdt_file_facts *facts,
	struct resident *resident, struct nbdt_error *err)
{
	CLEANUP_FREE char *path = realpath(options->file, NULL);
	if (!path)
		return nbdt_error_errno(err, -errno, "%s", options->file);
	size_t reserved_count;
	CLEANUP_FREE int *reserved = entry_reserved_devices(&reserved_count);
	struct nbdt_loopback_config config = {
		.device = resident->device,
		.record = {
			.kind = NBDT_KIND_LOOP,
			.name = options->entry,
			.source = path,
			.read_only = facts->read_only,
			.file_dev = facts->dev,
			.file_ino = facts->ino,
			.offset = options->image.file.offset,
			.size_limit = options->image.file.size_limit,
			.direct_io = options->image.file.direct_io,
		},
		.index = options->index,
		.connections = options->connections,
		.block_size = options->block_size,
		.timeout = options->timeout,
		.ioctl = options->ioctl,
		.reserved = reserved,
		.reserved_count = reserved_count,
	};

	CLEANUP_CLOSE int lock = nbdt_record_lock(err);
	if (lock < 0)
		return lock;
	config.lock = lock;
	/* Another may have attached it meanwhile; while we hold the lock, nobody can. */
	resident->index = find_attached(options);
	if (resident->index >= 0)
		return 0;
	int result = 0;
	if (!options->force)
		result = check_overlap(&config.record, err);
	if (!result)
		result = nbdt_loopback_start(&config, &resident->loopback, err);
	return result;
}

/* Of a device that has just been attached. */
static enum command_status take_charge(struct resident *resident)
{
	struct nbdt_error err;

	resident->attachment = nbdt_loopback_attachment(resident->loopback);
	resident->index = nbdt_loopback_index(resident->loopback);
	resident->ended = nbdt_loopback_fd(resident->loopback);
	if (!nbdt_control_listen(resident->index, &resident->control, &err))
		return STATUS_DONE;
	nbdt_detach(resident->index, &(struct nbdt_detach_options){ .force = true }, NULL);
	return report(NULL, &err);
}

static enum command_status attach_image(
	const struct loop_options *options, struct resident *resident)
{
	struct nbdt_file_facts facts;
	struct nbdt_error err;

	enum command_status status =
		image_open(options->file, &options->image, &resident->device, &facts);
	if (status)
		return status;
	resist_memory_pressure();
	if (start_loopback(options, &facts, resident, &err))
		return report(NULL, &err);
	return resident->loopback ? take_charge(resident) : STATUS_DONE;
}

/* Attaches, and waits until the device is usable. On failure nothing stays attached. */
static enum command_status bring_up(
	const struct loop_options *options, struct resident *resident)
{
	enum command_status status = STATUS_DONE;
	struct nbdt_error err;

	if (resident_block_signals(resident)) {
		say_error("cannot receive signals: %m");
		return STATUS_FAILED;
	}
	/* Before it is opened: a block device that is attached lets nobody else write. */
	resident->index = find_attached(options);
	if (resident->index < 0)
		status = attach_image(options, resident);
	if (status)
		return status;
	if (nbdt_device_settle(resident->index, SETTLE_TIMEOUT, &err))
		say_warning("%s", err.text);
	if (options->pid_file && resident->loopback
		&& pid_file_write(options->pid_file, &resident->pid_file, &err))
		say_warning("%s", err.text);
	return STATUS_DONE;
}

static void tear_down(struct resident *resident)
{
	nbdt_loopback_finish(resident->loopback);
	nbdt_device_close(resident->device);
	if (resident->signals >= 0)
		close(resident->signals);
	pid_file_remove(resident->pid_file);
}

static struct resident new_resident(const struct loop_options *options)
{
	return (struct resident){
		.index = -1,
		.link = -1,
		.signals = -1,
		.timeout = options->timeout,
	};
}

/* The background process, from its first moment to its last. */
static enum command_status serve_in_background(const struct loop_options *options, int link)
{
	struct resident resident = new_resident(options);

	struct readiness readiness = { .status = bring_up(options, &resident) };
	readiness.index = resident.index;
	readiness.already = !resident.loopback;
	resident.link = link;
	int told = background_report(link, &readiness);
	if (!readiness.status && resident.loopback) {
		background_settle();
		/*
		 * Only a captive command's end means something from now on; a dead parent always
		 * did.
		 */
		if (!told && !options->command) {
			close(resident.link);
			resident.link = -1;
		}
		resident_run(&resident);
	}
	tear_down(&resident);
	return readiness.status;
}

static enum command_status serve_in_foreground(const struct loop_options *options)
{
	struct resident resident = new_resident(options);

	notify_open();
	enum command_status status = bring_up(options, &resident);
	if (!status)
		status = tell_device(resident.index, !resident.loopback);
	if (!status)
		notify("READY=1", "attached %s to /dev/nbd%d", options->file, resident.index);
	if (!status && resident.loopback)
		resident_run(&resident);
	tear_down(&resident);
	notify_close();
	return status;
}

enum command_status loop_attach(const struct loop_options *options)
{
	int link;

	if (options->foreground)
		return serve_in_foreground(options);
	int pid = background_fork(&link);
	if (pid < 0) {
		say_error("cannot fork: %s", strerrordesc_np(-pid));
		return options->command ? STATUS_CAPTIVE_FAILED : STATUS_FAILED;
	}
	if (!pid)
		exit((int)serve_in_background(options, link));
	struct readiness readiness = background_wait(link);
	if (options->command && readiness.status)
		return STATUS_CAPTIVE_FAILED;
	if (options->command)
		return (enum command_status)run_captive(options->command, readiness.index, link);
	if (!readiness.status)
		readiness.status = tell_device(readiness.index, readiness.already);
	return readiness.status;
}
