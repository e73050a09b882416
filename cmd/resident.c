/* SPDX-License-Identifier: Apache-2.0 */
#include "resident.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "notify.h"

#define STOP_RETRY 500 /* milliseconds between looks whether a device is still in use */

int resident_block_signals(struct resident *resident)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* A blocked SIGPIPE is never delivered: every write tells its own error. */
	sigdelset(&set, SIGPIPE);
	resident->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return resident->signals < 0 ? -errno : 0;
}

/*
 * Detaches, now or as soon as nobody has the device mounted or held any more. The kernel's own
 * "disconnect on close" would do without the retries, but flushes nothing and does not exist for
 * devices attached by ioctl.
 */
static int stop(struct resident *resident, struct nbdt_error *err)
{
	const struct nbdt_detach_options options = { .uuid = resident->attachment->uuid };

	if (!resident->stopping)
		notify("STOPPING=1", "detaching /dev/nbd%d", resident->index);
	int result = nbdt_detach(resident->index, &options, err);
	if (result == -EBUSY)
		notify(NULL, "waiting until it is no longer in use: %s", err->text);
	if (result == -EBUSY && !resident->stopping)
		say_warning("%s; detaching when it is no longer in use", err->text);
	else if (result && result != -EBUSY && result != -ENOTCONN)
		say_error("%s", err->text);
	/* The order stands, whatever is in its way now. */
	resident->stopping = result && result != -ENOTCONN && result != -ENODEV;
	return result == -EBUSY ? 0 : result;
}

static int switch_failing_writes(struct resident *resident, bool on, struct nbdt_error *err)
{
	if (!resident->device)
		return nbdt_error_set(err, -EOPNOTSUPP, "only nbd-loop can fail writes");
	nbdt_device_fail_writes(resident->device, on);
	say_notice("nbd%d: writes %s", resident->index, on ? "fail from now on" : "work again");
	return 0;
}

static int resize(struct resident *resident, struct nbdt_error *err)
{
	if (!resident->device || !resident->device->ops->resize)
		return nbdt_error_set(err, -EOPNOTSUPP, "this device cannot change its size");
	int result = resident->device->ops->resize(resident->device, err);
	if (!result)
		result = nbdt_loopback_resize(resident->loopback, err);
	return result;
}

static int handle_command(enum nbdt_control_command command, struct nbdt_control_status *status,
	void *arg, struct nbdt_error *err)
{
	struct resident *resident = arg;

	switch (command) {
	case NBDT_CONTROL_STATUS:
		status->pid = getpid();
		if (resident->device) {
			status->size = nbdt_device_size(resident->device);
			status->failing_writes = nbdt_device_fails_writes(resident->device);
		}
		return 0;
	case NBDT_CONTROL_RESIZE:
		return resize(resident, err);
	case NBDT_CONTROL_FAIL_WRITES:
		return switch_failing_writes(resident, true, err);
	case NBDT_CONTROL_PASS_WRITES:
		return switch_failing_writes(resident, false, err);
	case NBDT_CONTROL_STOP:
		return stop(resident, err);
	}
	return nbdt_error_set(err, -EINVAL, "no such command");
}

static void handle_signal(struct resident *resident)
{
	struct signalfd_siginfo signal;
	struct nbdt_error err;

	if (read(resident->signals, &signal, sizeof(signal)) != sizeof(signal))
		return;
	if (signal.ssi_signo == SIGTERM || signal.ssi_signo == SIGINT)
		stop(resident, &err);
	else if (signal.ssi_signo == SIGUSR1 && resident->device)
		switch_failing_writes(
			resident, !nbdt_device_fails_writes(resident->device), &err);
}

static void handle_link(struct resident *resident)
{
	struct nbdt_error err;

	close(resident->link);
	resident->link = -1;
	stop(resident, &err);
}

static int poll_timeout(const struct resident *resident)
{
	if (resident->stopping)
		return STOP_RETRY;
	if (resident->loopback && resident->timeout)
		return (int)(resident->timeout * 1000 / 6);
	return -1;
}

/* Waits for one event, or some time. True once the device is gone. */
static bool handle_events(struct resident *resident)
{
	enum { SIGNALS, CONTROL, ENDED, LINK, COUNT };
	struct pollfd wait[COUNT] = {
		[SIGNALS] = { .fd = resident->signals, .events = POLLIN },
		[CONTROL] = { .fd = nbdt_control_fd(resident->control), .events = POLLIN },
		[ENDED] = { .fd = resident->ended, .events = POLLIN },
		[LINK] = { .fd = resident->link, .events = POLLIN },
	};
	struct nbdt_error err;

	poll(wait, COUNT, poll_timeout(resident));
	if (wait[ENDED].revents)
		return true;
	if (wait[SIGNALS].revents)
		handle_signal(resident);
	if (wait[CONTROL].revents)
		nbdt_control_serve(resident->control, handle_command, resident);
	if (wait[LINK].revents)
		handle_link(resident);
	if (resident->loopback)
		nbdt_loopback_supervise(resident->loopback);
	if (resident->stopping)
		stop(resident, &err);
	return false;
}

/*
 * All links ended: because somebody disconnected the device, or because they died. In the latter
 * case the kernel would keep a device that only gives errors.
 */
static void disconnect_leftover(const struct resident *resident)
{
	struct nbdt_device_info info;

	if (!nbdt_device_wait_free(resident->index, 1, NULL))
		return;
	if (nbdt_device_get(resident->index, &info, NULL)
		|| info.state != NBDT_DEVICE_CONNECTED
		|| strcmp(info.backend, resident->attachment->identifier))
		return;
	say_warning("nbd%d: the connection ended while the device is in use", resident->index);
	nbdt_kernel_disconnect(resident->index, NULL);
}

/* The record goes last: who waits for that finds the image closed. */
static void let_go(struct resident *resident)
{
	char uuid[sizeof(resident->attachment->uuid)];

	memcpy(uuid, resident->attachment->uuid, sizeof(uuid));
	nbdt_control_close(resident->control);
	nbdt_loopback_finish(resident->loopback);
	resident->loopback = NULL;
	nbdt_device_close(resident->device);
	resident->device = NULL;
	resident->attachment = NULL;
	if (nbdt_record_remove(resident->index, uuid, NULL) > 0)
		nbdt_device_announce(resident->index);
}

void resident_run(struct resident *resident)
{
	while (!handle_events(resident))
		;
	disconnect_leftover(resident);
	let_go(resident);
	say_notice("nbd%d: detached", resident->index);
}
