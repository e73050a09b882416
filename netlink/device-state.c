/* SPDX-License-Identifier: Apache-2.0 */
/* What sysfs does not tell about a device: is somebody in it, is its connection gone? */
#include <errno.h>
#include <linux/nbd-netlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cleanup.h"
#include "device-internal.h"
#include "kernel-internal.h"

/* Inode of /proc/self/ns/pid in the first of these namespaces: PROC_PID_INIT_INO of proc_ns.h. */
#define INITIAL_PID_NAMESPACE 0xeffffffc

/* A way to ask the driver, opened at the first question and given up after the first refusal. */
struct prober {
	struct genl genl;
	bool opened, refused;
};

static int send_probe(struct genl *genl, int index, const char *identifier)
{
	const struct nbdt_kernel_change nothing = {
		.identifier = identifier[0] ? identifier : NULL,
	};

	struct nl_msg *msg = genl_request(genl, NBD_CMD_RECONFIGURE, genl_change_size(&nothing));
	if (!msg)
		return -ENOMEM;
	int result = genl_put_change(msg, index, &nothing);
	if (result >= 0)
		result = genl_exchange(genl, msg, NULL, NULL);
	nlmsg_free(msg);
	return result;
}

bool device_kernel_has_identifiers(void)
{
	unsigned int major, minor;
	struct utsname name;

	if (uname(&name) || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		return true;
	return major > 5 || (major == 5 && minor >= 14);
}

/* "backend" is there, be it empty, for whatever was attached by netlink. */
static bool is_netlink(int index)
{
	char path[64];

	snprintf(path, sizeof(path), DEVICE_BLOCK_ROOT "/nbd%d/backend", index);
	return !access(path, F_OK);
}

/*
 * An ioctl attachment is up no longer than its thread stays in NBD_DO_IT, and that thread's number
 * is the device's pid. The kernel means numbers of the first namespace.
 */
static bool ioctl_is_gone(const struct nbdt_device_info *info)
{
	struct stat status;

	return device_kernel_has_identifiers() && !stat("/proc/self/ns/pid", &status) &&
		status.st_ino == INITIAL_PID_NAMESPACE && kill(info->pid, 0) && errno == ESRCH;
}

/* Since sysfs was read, another may have attached the device: its identifier is not INFO's. */
static bool is_replaced(const struct nbdt_device_info *info)
{
	struct nbdt_device_info now;

	return !device_read_at(DEVICE_BLOCK_ROOT, info->index, &now) && now.pid &&
		strcmp(now.backend, info->backend) != 0;
}

/*
 * After a disconnect with an opener left, pid, backend, size and the driver's status stay as they
 * were; only NBD_CMD_RECONFIGURE tells, and it needs privileges. With the identifier and nothing to
 * change it changes nothing. The bare command, not nbdt_kernel_reconfigure(), which reads the
 * device to explain a refusal.
 */
static bool netlink_is_gone(struct prober *prober, const struct nbdt_device_info *info)
{
	if (prober->refused)
		return false;
	if (!prober->opened) {
		prober->opened = true;
		/* Isolated: where somebody's disconnect is stuck, we would be stuck behind it. */
		prober->refused = genl_open(&prober->genl, true, NULL) < 0;
		if (prober->refused)
			return false;
	}
	int result = send_probe(&prober->genl, info->index, info->backend);
	prober->refused = result && result != -EINVAL;
	return result == -EINVAL && !is_replaced(info);
}

static bool is_busy(const struct nbdt_kernel_status *status, size_t count, int index)
{
	for (size_t i = 0; i < count; i++)
		if (status[i].index == index)
			return status[i].busy;
	return false;
}

static void find_disconnected(struct nbdt_device_info *list, size_t count)
{
	struct prober prober = { 0 };

	for (size_t i = 0; i < count; i++)
		if (list[i].pid &&
			(is_netlink(list[i].index) ? netlink_is_gone(&prober, &list[i])
						   : ioctl_is_gone(&list[i])))
			list[i].state = NBDT_DEVICE_DISCONNECTED;
	if (prober.opened)
		genl_close(&prober.genl);
}

/* All devices in one question, if any has no pid. No answer leaves them free. */
static void find_open(struct nbdt_device_info *list, size_t count)
{
	CLEANUP_FREE struct nbdt_kernel_status *status = NULL;
	size_t status_count, free_devices = 0;

	for (size_t i = 0; i < count; i++)
		free_devices += !list[i].pid;
	if (!free_devices || nbdt_kernel_get_status(count == 1 ? list->index : NBDT_INDEX_ANY,
				     &status, &status_count, NULL))
		return;
	for (size_t i = 0; i < count; i++)
		if (!list[i].pid && is_busy(status, status_count, list[i].index))
			list[i].state = NBDT_DEVICE_OPEN;
}

int nbdt_device_get(int index, struct nbdt_device_info *info, struct nbdt_error *err)
{
	int result = device_read_at(DEVICE_BLOCK_ROOT, index, info);
	if (result == -ENODEV)
		return nbdt_error_set(err, result, "there is no device nbd%d", index);
	if (result)
		return nbdt_error_errno(err, result, "cannot read /sys/block/nbd%d", index);
	find_disconnected(info, 1);
	find_open(info, 1);
	return 0;
}

int nbdt_device_list(struct nbdt_device_info **list, size_t *count, struct nbdt_error *err)
{
	int result = device_list_at(DEVICE_BLOCK_ROOT, list, count);
	if (result)
		return nbdt_error_errno(err, result, "cannot read /sys/block");
	find_disconnected(*list, *count);
	find_open(*list, *count);
	return 0;
}
