/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-loop's main job: a server in the background (or not), and its device. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "background.h"
#include "cleanup.h"
#include "nbd-loop.h"
#include "overlap.h"
#include "resident.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

#define SETTLE_TIMEOUT 30 /* seconds for partitions and udev */

/*
 * The kernel may need this process to free memory, by writing dirty pages through it; so it must
 * never wait for memory itself, nor be chosen by the OOM killer. Each of these needs privileges
 * that attaching needs too.
 */
static void protect_from_memory_pressure(void)
{
	CLEANUP_CLOSE int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		say_notice("cannot become an I/O flusher: %m");
	if (fd < 0 || write(fd, "-1000", 5) != 5)
		say_notice("cannot hide from the OOM killer: %m");
}

static enum command_status open_image(const struct loop_options *options,
	struct resident *resident, struct nbdt_file_facts *facts)
{
	struct nbdt_error err;

	if (nbdt_device_open_file(options->file, &options->image, &resident->device, facts, &err))
		return report(NULL, &err);
	if (facts->forced_read_only)
		say_warning("%s: can only be read; attaching it read-only", options->file);
	if (facts->lost_bytes)
		say_warning("%s: the last %llu bytes do not fill a block of %u and are left out",
			options->file, (unsigned long long)facts->lost_bytes,
			options->image.block_size ? options->image.block_size : 512);
	return STATUS_DONE;
}

static int start_loopback(const struct loop_options *options, const struct nbdt_file_facts *facts,
	struct resident *resident, struct nbdt_error *err)
{
	CLEANUP_FREE char *path = realpath(options->file, NULL);
	if (!path)
		return nbdt_error_errno(err, -errno, "%s", options->file);
	struct nbdt_loopback_config config = {
		.device = resident->device,
		.record = {
			.kind = NBDT_KIND_LOOP,
			.source = path,
			.read_only = facts->read_only,
			.file_dev = facts->dev,
			.file_ino = facts->ino,
			.offset = options->image.offset,
			.size_limit = options->image.size_limit,
			.direct_io = options->image.direct_io,
		},
		.index = options->index,
		.connections = options->connections,
		.block_size = options->block_size,
		.timeout = options->timeout,
		.ioctl = options->ioctl,
	};

	CLEANUP_CLOSE int lock = nbdt_record_lock(err);
	if (lock < 0)
		return lock;
	config.lock = lock;
	int result = 0;
	if (!options->force)
		result = check_overlap(&config.record, err);
	if (!result)
		result = nbdt_loopback_start(&config, &resident->loopback, err);
	return result;
}

/* The server changes to /, and must find the file again. NULL: no memory, or no current folder. */
static char *absolute_path(const char *path)
{
	char *absolute = NULL;

	if (*path == '/')
		return strdup(path);
	CLEANUP_FREE char *folder = get_current_dir_name();
	if (folder && asprintf(&absolute, "%s/%s", folder, path) < 0)
		absolute = NULL;
	return absolute;
}

static void write_pid_file(const char *path)
{
	FILE *file = fopen(path, "we");
	int failed = !file || fprintf(file, "%d\n", getpid()) < 0;

	if (file && fclose(file))
		failed = 1;
	if (failed)
		say_warning("%s: %m", path);
}

/*
 * Code and data now; whatever is mapped later, such as stacks, as soon as it is used: the server's
 * buffers may be large, and it locks beforehand what it needs of them.
 */
static void lock_memory(void)
{
	if (mlockall(MCL_CURRENT) || mlockall(MCL_FUTURE | MCL_ONFAULT))
		say_notice("cannot lock memory: %m");
}

/* Attaches, and waits until the device is usable. On failure nothing stays attached. */
static enum command_status bring_up(
	const struct loop_options *options, struct resident *resident)
{
	struct nbdt_file_facts facts;
	struct nbdt_error err;

	if (resident_block_signals(resident)) {
		say_error("cannot receive signals: %m");
		return STATUS_FAILED;
	}
	enum command_status status = open_image(options, resident, &facts);
	if (status)
		return status;
	protect_from_memory_pressure();
	lock_memory();
	if (start_loopback(options, &facts, resident, &err))
		return report(NULL, &err);
	resident->attachment = nbdt_loopback_attachment(resident->loopback);
	resident->index = nbdt_loopback_index(resident->loopback);
	resident->ended = nbdt_loopback_fd(resident->loopback);
	if (nbdt_control_listen(resident->index, &resident->control, &err)) {
		status = report(NULL, &err);
		nbdt_detach(resident->index, &(struct nbdt_detach_options){ .force = true }, NULL);
		return status;
	}
	if (nbdt_device_settle(resident->index, SETTLE_TIMEOUT, &err))
		say_warning("%s", err.text);
	if (options->pid_file) {
		resident->pid_file = absolute_path(options->pid_file);
		write_pid_file(options->pid_file);
	}
	return STATUS_DONE;
}

static void tear_down(struct resident *resident)
{
	nbdt_loopback_finish(resident->loopback);
	nbdt_device_close(resident->device);
	if (resident->signals >= 0)
		close(resident->signals);
	if (resident->pid_file)
		unlink(resident->pid_file);
	free(resident->pid_file);
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
	resident.link = link;
	int told = background_report(link, &readiness);
	if (!readiness.status) {
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

	enum command_status status = bring_up(options, &resident);
	if (!status) {
		printf("/dev/nbd%d\n", resident.index);
		fflush(stdout);
		resident_run(&resident);
	}
	tear_down(&resident);
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
		return options->command ? (enum command_status)STATUS_CAPTIVE_FAILED
					: STATUS_FAILED;
	}
	if (!pid)
		exit((int)serve_in_background(options, link));
	struct readiness readiness = background_wait(link);
	if (options->command && readiness.status)
		return (enum command_status)STATUS_CAPTIVE_FAILED;
	if (options->command)
		return (enum command_status)run_captive(options->command, readiness.index, link);
	if (!readiness.status)
		printf("/dev/nbd%d\n", readiness.index);
	return readiness.status;
}
