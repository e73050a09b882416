/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a device is busy, and whether waiting helps: udev opens every device for a moment, and
 * CONNECT calls that busy.
 */
#include <errno.h>

#include "device-internal.h"
#include "kernel-internal.h"

/*
 * A device keeps its pid after a disconnect while anybody has it open; an identifier alone then
 * gives EINVAL.
 */
static bool is_disconnected(const struct nbdt_device_info *info)
{
	const struct nbdt_kernel_change probe = { .identifier = info->backend };

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

int kernel_wait_busy(int index, struct backoff *backoff, struct nbdt_error *err)
{
	struct nbdt_device_info info;

	if (device_read_at(DEVICE_BLOCK_ROOT, index, &info) == 0 && info.pid)
		return connected_error(&info, err);
	if (!backoff_sleep(backoff))
		return nbdt_error_set(err, -EBUSY, "nbd%d is open by another program", index);
	return 0;
}
