/* SPDX-License-Identifier: Apache-2.0 */
/* Why a device is busy, and whether waiting helps: udev opens every device for a moment, and CONNECT calls that busy. */
#include <errno.h>
#include <time.h>

#include "kernel-internal.h"

#define FIRST_PAUSE_MS 5
#define LONGEST_PAUSE_MS 100

/* A device keeps its pid after a disconnect while anybody has it open; an identifier alone then gives EINVAL. */
static bool is_disconnected(const struct nbdt_device_info *info)
{
	const struct nbdt_kernel_change probe = { .identifier = info->backend };

	if (info->state == NBDT_DEVICE_DISCONNECTED)
		return true;
	if (info->backend[0] == '\0')
		return false;
	return nbdt_kernel_reconfigure(info->index, &probe, NULL) == -ENOTCONN;
}

static int connected_error(const struct nbdt_device_info *info, struct nbdt_error *err)
{
	char users[256];
	const char *source = nbdt_record_identifier_source(info->backend);

	if (is_disconnected(info)) {
		int count = nbdt_device_users(info->index, users, sizeof(users));

		return nbdt_error_set(err, -EBUSY, "nbd%d was disconnected but is still in use%s%s",
			info->index, count > 0 ? ": " : "", count > 0 ? users : "");
	}
	if (!source)
		source = info->backend;
	if (source[0])
		return nbdt_error_set(err, -EALREADY, "nbd%d is already connected (to %.300s)",
			info->index, source);
	return nbdt_error_set(err, -EALREADY, "nbd%d is already connected (by process %d)",
		info->index, (int)info->pid);
}

static void pause_for(unsigned int milliseconds)
{
	struct timespec pause = {
		.tv_sec = milliseconds / 1000,
		.tv_nsec = (long)(milliseconds % 1000) * 1000000,
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, &pause) == EINTR)
		;
}

int kernel_wait_busy(int index, struct kernel_backoff *backoff, struct nbdt_error *err)
{
	struct nbdt_device_info info;

	if (index != NBDT_INDEX_ANY && nbdt_device_get(index, &info, NULL) == 0 && info.pid)
		return connected_error(&info, err);
	if (backoff->waited >= KERNEL_BUSY_MS)
		return nbdt_error_set(err, -EBUSY, "nbd%d is open by another program", index);
	backoff->pause = backoff->pause ? backoff->pause * 2 : FIRST_PAUSE_MS;
	if (backoff->pause > LONGEST_PAUSE_MS)
		backoff->pause = LONGEST_PAUSE_MS;
	pause_for(backoff->pause);
	backoff->waited += backoff->pause;
	return 0;
}
