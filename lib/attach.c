/* SPDX-License-Identifier: Apache-2.0 */
/* Attaching and detaching: sockets to the kernel, with a record; and the safe way back. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "nbdtools.h"

#define DETACH_TIMEOUT 10 /* seconds */

/*
 * What stands in a record and in the kernel of an attachment whose caller gave no keeper of its
 * own.
 */
static int prepare_record(const struct nbdt_attach_config *config, bool ioctl,
	struct nbdt_record *record, struct nbdt_error *err)
{
	*record = config->record;
	int result = nbdt_record_init(record, err);
	if (result)
		return result;
	/* A remote export that the kernel holds by netlink needs no process. */
	if (record->kind == NBDT_KIND_REMOTE && !ioctl) {
		record->pid = 0;
		record->start_time = 0;
	}
	record->connections = (unsigned int)config->kernel.socket_count;
	record->timeout = config->kernel.timeout;
	record->ioctl = ioctl;
	return 0;
}

static void undo_attach(const struct nbdt_attachment *attachment)
{
	if (attachment->session)
		nbdt_ioctl_disconnect(attachment->session, NULL);
	else
		nbdt_kernel_disconnect(attachment->index, NULL);
}

/* Sets the request size and writes the record of a device that the kernel has just named. */
static int complete_attach(const struct nbdt_attach_config *config, struct nbdt_record *record,
	const struct nbdt_attachment *attachment, struct nbdt_error *err)
{
	int result = 0;

	record->index = attachment->index;
	if (config->max_request)
		result = nbdt_device_set_max_request(attachment->index, config->max_request, err);
	if (!result)
		result = nbdt_record_write(record, err);
	return result;
}

static int connect_kernel(const struct nbdt_kernel_config *kernel, bool ioctl,
	struct nbdt_attachment *attachment, struct nbdt_error *err)
{
	if (ioctl)
		return nbdt_ioctl_attach(kernel, &attachment->session, &attachment->index, err);
	return nbdt_kernel_connect(kernel, &attachment->index, err);
}

static int attach_locked(const struct nbdt_attach_config *config, bool ioctl,
	struct nbdt_attachment *attachment, struct nbdt_error *err)
{
	struct nbdt_kernel_config kernel = config->kernel;
	struct nbdt_record record;

	int result = prepare_record(config, ioctl, &record, err);
	if (result)
		return result;
	memcpy(attachment->uuid, record.uuid, sizeof(attachment->uuid));
	attachment->identifier = nbdt_record_identifier(&record);
	if (!attachment->identifier)
		return nbdt_error_errno(err, -ENOMEM, "%s", record.source);
	kernel.identifier = attachment->identifier;
	result = connect_kernel(&kernel, ioctl, attachment, err);
	if (result)
		return result;
	result = complete_attach(config, &record, attachment, err);
	if (result)
		undo_attach(attachment);
	return result;
}

int nbdt_attach(const struct nbdt_attach_config *config, struct nbdt_attachment *attachment,
	struct nbdt_error *err)
{
	CLEANUP_CLOSE int own_lock = -1;

	memset(attachment, 0, sizeof(*attachment));
	int result = nbdt_kernel_load_module(err);
	if (result)
		return result;
	if (config->lock < 0) {
		own_lock = nbdt_record_lock(err);
		if (own_lock < 0)
			return own_lock;
	}
	bool ioctl = config->ioctl || !nbdt_kernel_has_netlink();
	result = attach_locked(config, ioctl, attachment, err);
	if (result)
		nbdt_attachment_release(attachment);
	return result;
}

void nbdt_attachment_release(struct nbdt_attachment *attachment)
{
	if (attachment->session)
		nbdt_ioctl_finish(attachment->session);
	free(attachment->identifier);
	attachment->session = NULL;
	attachment->identifier = NULL;
}

/*
 * The keeper of a loop device ends by itself once the kernel hangs up, and removes its record last:
 * only then is the image at rest.
 */
static void wait_for_keeper(const struct nbdt_record *record, unsigned int timeout)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

	if (!record->pid || record->pid == getpid())
		return;
	for (unsigned int tries = timeout * 100; tries; tries--) {
		struct nbdt_record now;

		if (nbdt_record_read(record->index, &now, NULL))
			return;
		bool same = !strcmp(now.uuid, record->uuid);
		nbdt_record_free(&now);
		if (!same || (kill(record->pid, 0) && errno == ESRCH))
			return;
		nanosleep(&pause, NULL);
	}
}

/*
 * Flushes, unless the keeper is known to be gone: then nobody would answer, and the caller wants
 * rid of the device.
 */
static int flush_unless_dead(const struct nbdt_device_info *info, enum nbdt_record_life life,
	unsigned int timeout, struct nbdt_error *err)
{
	if (life == NBDT_RECORD_DEAD || info->state == NBDT_DEVICE_DISCONNECTED)
		return 0;
	struct nbdt_error cause;
	int result = nbdt_device_flush(info->index, timeout, &cause);
	if (!result)
		return 0;
	return nbdt_error_set(err, result,
		"nbd%d: detached, but its flush failed: what was written last may be lost: %s",
		info->index, cause.text);
}

static int detach_device(const struct nbdt_device_info *info, const struct nbdt_record *record,
	const struct nbdt_detach_options *options, struct nbdt_error *err)
{
	unsigned int timeout = options->timeout ? options->timeout : DETACH_TIMEOUT;
	enum nbdt_record_life life =
		record ? nbdt_record_check(record, info) : NBDT_RECORD_LIVE;

	int claim = nbdt_device_claim(info->index, err);
	if (claim < 0 && !options->force)
		return claim;
	int flushed = flush_unless_dead(info, life, timeout, err);
	if (claim >= 0)
		close(claim);
	/* A failed flush is the graver news: it is not overwritten by what comes after. */
	struct nbdt_error *late = flushed ? NULL : err;
	int result = nbdt_kernel_disconnect(info->index, late);
	if (!result)
		result = nbdt_device_wait_free(info->index, timeout, late);
	if (result)
		return flushed ? flushed : result;
	if (record) {
		if (life == NBDT_RECORD_LIVE)
			wait_for_keeper(record, timeout);
		nbdt_record_remove(record->index, record->uuid, NULL);
	}
	return flushed;
}

int nbdt_detach(int index, const struct nbdt_detach_options *options, struct nbdt_error *err)
{
	const struct nbdt_detach_options defaults = { 0 };
	struct nbdt_device_info info;
	struct nbdt_record record;

	int result = nbdt_device_get(index, &info, err);
	if (result)
		return result;
	if (info.state == NBDT_DEVICE_FREE || info.state == NBDT_DEVICE_OPEN)
		return nbdt_error_set(err, -ENOTCONN, "nbd%d is not connected", index);
	bool known = !nbdt_record_read(index, &record, NULL);
	result = detach_device(&info, known ? &record : NULL, options ? options : &defaults, err);
	if (known)
		nbdt_record_free(&record);
	return result;
}
