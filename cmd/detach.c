/* SPDX-License-Identifier: Apache-2.0 */
#include "detach.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "backoff.h"
#include "cleanup.h"

#define WAIT_PAUSE 200 /* milliseconds between looks whether a device is still in use */

/* A device to be detached. */
struct target {
	int index;
	const char *uuid; /* of the attachment that is meant, or NULL: whatever it is */
	bool done;
	struct nbdt_error refusal; /* code 0: not tried yet */
};

static bool is_connected(int index)
{
	struct nbdt_device_info info;

	return !nbdt_device_get(index, &info, NULL) && info.state == NBDT_DEVICE_CONNECTED;
}

static void tell_refusal(
	struct target *target, const struct nbdt_error *err, const struct detach_wish *wish)
{
	if (!target->refusal.code && wish->wait)
		say_warning("%s; waiting %" PRIu64 " s for that to end", err->text, wish->wait);
	target->refusal = *err;
}

/* One that is refused for its users stays to be done. */
static enum command_status try_target(struct target *target, const struct detach_wish *wish)
{
	const struct nbdt_detach_options options = {
		.force = wish->force,
		.timeout = wish->timeout,
		.uuid = target->uuid,
	};
	struct nbdt_error err;

	int result = nbdt_detach(target->index, &options, &err);
	if (result == -EBUSY && is_connected(target->index)) {
		tell_refusal(target, &err, wish);
		return STATUS_DONE;
	}
	target->done = true;
	if (!result)
		say_notice("nbd%d: detached", target->index);
	else if (!wish->idempotent || status_of(result) != STATUS_NOT_FOUND)
		return report(NULL, &err);
	return STATUS_DONE;
}

/*
 * Tries each that is left, from the last on: most devices that lie on others came later than these.
 * *LEFT counts those that are left then. True if it did any.
 */
static bool try_targets(struct target *targets, size_t count, const struct detach_wish *wish,
	enum command_status *status, size_t *left)
{
	size_t before = 0;

	*left = 0;
	for (size_t i = count; i-- > 0;) {
		if (targets[i].done)
			continue;
		before++;
		*status = worse_status(*status, try_target(&targets[i], wish));
		*left += !targets[i].done;
	}
	return *left < before;
}

static enum command_status detach_targets(
	struct target *targets, size_t count, const struct detach_wish *wish)
{
	const struct timespec pause = { .tv_nsec = WAIT_PAUSE * 1000000L };
	const struct backoff limit = backoff_start((int64_t)wish->wait * 1000);
	enum command_status status = STATUS_DONE;
	size_t left = count;

	while (left) {
		/* What went may have been all that held another. */
		if (try_targets(targets, count, wish, &status, &left))
			continue;
		if (!backoff_left(&limit))
			break;
		nanosleep(&pause, NULL);
	}
	for (size_t i = 0; i < count; i++)
		if (!targets[i].done)
			status = worse_status(status, report(NULL, &targets[i].refusal));
	return status;
}

static void warn_if_dead(int index)
{
	struct nbdt_device_info info;
	struct nbdt_record record;

	if (nbdt_device_get(index, &info, NULL) || nbdt_record_read(index, &record, NULL))
		return;
	if (nbdt_record_check(&record, &info) == NBDT_RECORD_DEAD)
		say_warning("nbd%d: its server is dead; what it had not stored is lost", index);
	nbdt_record_free(&record);
}

enum command_status detach_device(int index, const struct detach_wish *wish)
{
	struct target target = { .index = index };

	warn_if_dead(index);
	return detach_targets(&target, 1, wish);
}

/* Lists what MATCHES among DEVICES; TARGETS has room for all. */
static size_t select_targets(const struct known_device *devices, size_t count,
	bool (*matches)(const struct known_device *device, const char *text), const char *text,
	struct target *targets)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		if (!matches(&devices[i], text))
			continue;
		warn_if_dead(devices[i].info.index);
		targets[found++] = (struct target){
			.index = devices[i].info.index,
			.uuid = devices[i].has_record ? devices[i].record.uuid : NULL,
		};
	}
	return found;
}

enum command_status detach_matching(
	bool (*matches)(const struct known_device *device, const char *text), const char *text,
	const struct detach_wish *wish, size_t *found)
{
	struct detach_wish tolerant = *wish;
	struct known_device *devices;
	struct nbdt_error err;
	size_t count;

	*found = 0;
	if (read_devices(&devices, &count, &err))
		return report(NULL, &err);
	enum command_status status = STATUS_FAILED;
	CLEANUP_FREE struct target *targets = calloc(count ? count : 1, sizeof(*targets));
	if (targets) {
		*found = select_targets(devices, count, matches, text, targets);
		/* They were attached a moment ago: one that is gone is what was wanted. */
		tolerant.idempotent = true;
		status = detach_targets(targets, *found, &tolerant);
	} else {
		say_error("out of memory");
	}
	free_devices(devices, count);
	return status;
}
