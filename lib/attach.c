/* SPDX-License-Identifier: Apache-2.0 */
/* Attaching and detaching: sockets to the kernel, with a record; and the safe way back. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backoff.h"
#include "cleanup.h"
#include "nbdtools.h"
#include "process.h"

#define DETACH_TIMEOUT 10     /* seconds */
#define OWN_FLUSH_TIMEOUT 300 /* seconds: gigabytes of dirty data on a slow disk */
#define MOST_DEVICES 3000      /* the kernel's answers break a little above (nbd.c) */
#define DEAD_FLUSH_TIMEOUT 2  /* seconds */

/*
 * What stands in a record and in the kernel of an attachment whose caller gave no keeper of its
 * own.
 */
static int prepare_record(const struct nbdt_attach_config *config, struct nbdt_record *record,
	struct nbdt_error *err)
{
	*record = config->record;
	int result = nbdt_record_init(record, err);
	if (result)
		return result;
	/* A remote export that the kernel holds by netlink needs no process. */
	if (record->kind == NBDT_KIND_REMOTE && !config->ioctl) {
		record->pid = 0;
		record->start_time = 0;
	}
	record->connections = (unsigned int)config->kernel.socket_count;
	record->timeout = config->kernel.timeout;
	record->ioctl = config->ioctl;
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

static bool is_reserved(const struct nbdt_attach_config *config, int index)
{
	for (size_t i = 0; i < config->reserved_count; i++)
		if (config->reserved[i] == index)
			return true;
	return false;
}

/* Free, or not made yet. */
static bool may_be_free(int index)
{
	struct nbdt_device_info info;

	int result = nbdt_device_get(index, &info, NULL);
	return result == -ENODEV || (!result && info.state == NBDT_DEVICE_FREE);
}

/*
 * The kernel would choose the lowest device that is free at the moment, which may be one that an
 * entry is to have: at boot the one that needs no network comes first.
 */
static int connect_unreserved(const struct nbdt_attach_config *config,
	struct nbdt_kernel_config *kernel, struct nbdt_attachment *attachment,
	struct nbdt_error *err)
{
	int result = -EBUSY;

	for (int index = 0; index <= MOST_DEVICES; index++) {
		if (is_reserved(config, index) || !may_be_free(index))
			continue;
		kernel->index = index;
		result = connect_kernel(kernel, config->ioctl, attachment, err);
		/* Somebody may have been faster, or has it open. */
		if (result != -EBUSY && result != -EALREADY)
			return result;
	}
	return nbdt_error_set(err, result, "no NBD device is free but those of entries");
}

static int attach_locked(const struct nbdt_attach_config *config,
	struct nbdt_attachment *attachment, struct nbdt_error *err)
{
	struct nbdt_kernel_config kernel = config->kernel;
	struct nbdt_record record;

	int result = prepare_record(config, &record, err);
	if (result)
		return result;
	memcpy(attachment->uuid, record.uuid, sizeof(attachment->uuid));
	attachment->identifier = nbdt_record_identifier(&record);
	if (!attachment->identifier)
		return nbdt_error_errno(err, -ENOMEM, "%s", record.source);
	kernel.identifier = attachment->identifier;
	if (kernel.index == NBDT_INDEX_ANY && config->reserved_count)
		result = connect_unreserved(config, &kernel, attachment, err);
	else
		result = connect_kernel(&kernel, config->ioctl, attachment, err);
	if (result)
		return result;
	result = complete_attach(config, &record, attachment, err);
	if (result)
		undo_attach(attachment);
	else
		nbdt_device_announce(attachment->index);
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
	result = attach_locked(config, attachment, err);
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

static bool is_recorded(const struct nbdt_record *record)
{
	struct nbdt_record now;

	if (nbdt_record_read(record->index, &now, NULL))
		return false;
	bool same = !strcmp(now.uuid, record->uuid);
	nbdt_record_free(&now);
	return same;
}

/*
 * The keeper of a loop device ends by itself once the kernel hangs up, and removes its record last:
 * only then is the image at rest.
 */
static int wait_for_keeper(
	const struct nbdt_record *record, unsigned int timeout, struct nbdt_error *err)
{
	struct backoff backoff = backoff_start((int64_t)timeout * 1000);

	if (record->pid == getpid())
		return 0;
	while (is_recorded(record) && process_is_running(record->pid, record->start_time))
		if (!backoff_sleep(&backoff))
			return nbdt_error_set(err, -ETIMEDOUT,
				"nbd%d is detached, but process %d, which served %.300s, is not"
				" done with that after %u s",
				record->index, (int)record->pid, record->source, timeout);
	return 0;
}

/* A live server of ours that is slow will be done some time; nobody can tell that of a stranger. */
static bool is_slow_only(
	const struct nbdt_record *record, enum nbdt_record_life life, int flush_result)
{
	return flush_result == -ETIMEDOUT && record && record->kind == NBDT_KIND_LOOP
	       && life == NBDT_RECORD_LIVE;
}

/*
 * How long the server may take. Where the keeper is gone, most likely nobody answers, and the
 * caller wants rid of the device.
 */
static unsigned int flush_timeout(const struct nbdt_record *record, enum nbdt_record_life life,
	const struct nbdt_detach_options *options)
{
	if (life == NBDT_RECORD_DEAD)
		return DEAD_FLUSH_TIMEOUT;
	if (options->timeout)
		return options->timeout;
	if (record && record->kind == NBDT_KIND_LOOP)
		return OWN_FLUSH_TIMEOUT;
	return (record ? (unsigned int)record->timeout : 0) + DETACH_TIMEOUT;
}

/*
 * Where the device cannot be opened, nobody can tell whether it is in use without being mounted or
 * held: only who forces it takes that risk.
 */
static int claim_device(int index, unsigned int timeout, bool force, struct nbdt_error *err)
{
	struct nbdt_error cause;

	int claim = nbdt_device_claim(index, timeout, &cause);
	if (claim == -ETIMEDOUT && !force)
		return nbdt_error_set(err, claim, "nbd%d is still attached: %s (it can be forced)",
			index, cause.text);
	return claim < 0 ? nbdt_error_set(err, claim, "%s", cause.text) : claim;
}

/* Flushes; where the keeper is gone, a failure is no news. */
static int flush_device(const struct nbdt_device_info *info, enum nbdt_record_life life,
	unsigned int timeout, struct nbdt_error *err)
{
	struct nbdt_error cause;

	if (info->state == NBDT_DEVICE_DISCONNECTED)
		return 0;
	int result = nbdt_device_flush(info->index, timeout, &cause);
	if (!result || life == NBDT_RECORD_DEAD)
		return 0;
	return nbdt_error_set(err, result,
		"nbd%d: its flush failed, and what was written last may be lost: %s", info->index,
		cause.text);
}

/*
 * What udev made of the record, such as symlinks, must be gone when the caller hears of the end. A
 * keeper that has just removed the record itself may not have announced that yet.
 */
static void forget_record(const struct nbdt_record *record, unsigned int timeout)
{
	nbdt_record_remove(record->index, record->uuid, NULL);
	if (!nbdt_device_announce(record->index))
		nbdt_udev_settle(timeout);
}

/* After the flush: FLUSHED is its result, and if it failed, that graver news stays in ERR. */
static int disconnect_and_wait(const struct nbdt_device_info *info,
	const struct nbdt_record *record, enum nbdt_record_life life, unsigned int timeout,
	int flushed, struct nbdt_error *err)
{
	struct nbdt_error *late = flushed ? NULL : err;

	int result = nbdt_kernel_disconnect(info->index, late);
	if (!result)
		result = nbdt_device_wait_free(info->index, timeout, late);
	if (result)
		return flushed ? flushed : result;
	if (record && life == NBDT_RECORD_LIVE)
		result = wait_for_keeper(record, timeout, late);
	if (record)
		forget_record(record, timeout);
	return flushed ? flushed : result;
}

static int detach_device(const struct nbdt_device_info *info, const struct nbdt_record *record,
	const struct nbdt_detach_options *options, struct nbdt_error *err)
{
	unsigned int timeout = options->timeout ? options->timeout : DETACH_TIMEOUT;
	enum nbdt_record_life life =
		record ? nbdt_record_check(record, info) : NBDT_RECORD_LIVE;

	unsigned int patience = flush_timeout(record, life, options);
	int claim = claim_device(info->index, patience, options->force, err);
	if (claim < 0 && !options->force)
		return claim;
	/* A server that did not answer all that time will hardly do so now. */
	if (claim == -ETIMEDOUT)
		patience = DEAD_FLUSH_TIMEOUT;
	int flushed = flush_device(info, life, patience, err);
	/* Before it was claimed, another may have detached it, and attached it anew. */
	bool same = !record || is_recorded(record);
	if (claim >= 0)
		close(claim);
	if (!same)
		return nbdt_error_set(
			err, -ENOTCONN, "nbd%d was detached by another meanwhile", info->index);
	if (is_slow_only(record, life, flushed) && !options->force)
		return nbdt_error_set(err, flushed,
			"nbd%d is still attached: its server is not done with storing what was"
			" written; wait and try again (or force it)",
			info->index);
	return disconnect_and_wait(info, record, life, timeout, flushed, err);
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
	if (!options)
		options = &defaults;
	bool known = !nbdt_record_read(index, &record, NULL);
	if (options->uuid && (!known || strcmp(record.uuid, options->uuid) != 0))
		result = nbdt_error_set(
			err, -ENOTCONN, "nbd%d is attached to something else by now", index);
	else
		result = detach_device(&info, known ? &record : NULL, options, err);
	if (known)
		nbdt_record_free(&record);
	return result;
}
