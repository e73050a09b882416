/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-connect's main job: negotiated sockets go to the kernel, and its device to the caller. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "background.h"
#include "cleanup.h"
#include "connect-session.h"
#include "devices.h"
#include "entry.h"
#include "memory-pressure.h"
#include "notify.h"
#include "resident.h"

#define SETTLE_TIMEOUT 30 /* seconds for partitions and udev */

/*
 * The largest request that we let the kernel send, if the server allows it. Larger ones were not
 * faster, and kernels before 6.12 default to 128 KiB.
 */
#define MAX_REQUEST (1024u * 1024)

static uint32_t choose_max_request(const struct session *session)
{
	if (session->export.has_block_sizes && session->export.block_maximum < MAX_REQUEST)
		return session->export.block_maximum;
	return MAX_REQUEST;
}

static int attach_session(struct session *session, const struct connect_options *options, int lock,
	struct nbdt_attachment *attachment, struct nbdt_error *err)
{
	size_t reserved_count;
	CLEANUP_FREE int *reserved = entry_reserved_devices(&reserved_count);
	struct nbdt_attach_config config = {
		.kernel = {
			.index = options->index,
			.sockets = session->sockets,
			.socket_count = session->count,
			.size = session->size,
			.block_size = session->block_size,
			.timeout = options->timeout,
			.dead_timeout = options->dead_timeout,
			.server_flags = session->flags,
		},
		.max_request = choose_max_request(session),
		.ioctl = options->ioctl,
		.record = {
			.kind = NBDT_KIND_REMOTE,
			.name = options->entry,
			.source = session->source,
			.read_only = session->flags & NBDT_FLAG_READ_ONLY,
		},
		.lock = lock,
		.reserved = reserved,
		.reserved_count = reserved_count,
	};

	int result = session_take_sockets(session, err);
	if (!result)
		result = nbdt_attach(&config, attachment, err);
	return result;
}

/* A device whose name nobody has learnt must not stay: from its attaching on, signals wait. */
static void defer_signals(bool defer)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(defer ? SIG_BLOCK : SIG_UNBLOCK, &signals, NULL);
}

static bool was_interrupted(void)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1
	       || sigismember(&pending, SIGHUP) == 1;
}

/* A device, and whether it is one that was there already. */
struct attached {
	struct nbdt_attachment attachment;
	bool already;
};

/* True if --idempotent has nothing to do. */
static bool find_attached(const struct connect_options *options, struct attached *attached)
{
	attached->already = false;
	for (size_t i = 0; i < options->uri_count && !attached->already; i++) {
		CLEANUP_FREE char *uri = nbdt_uri_format(options->uris[i]);
		const struct device_wish wish = {
			.entry = options->entry,
			.source = options->identifier ? options->identifier : uri,
			.index = options->index,
		};

		attached->attachment.index = find_device(&wish);
		attached->already = attached->attachment.index >= 0;
	}
	return attached->already;
}

static int attach_or_find(struct session *session, const struct connect_options *options,
	struct attached *attached, struct nbdt_error *err)
{
	CLEANUP_CLOSE int lock = -1;

	if (options->idempotent) {
		/* Another may have attached it meanwhile; while we hold the lock, nobody can. */
		lock = nbdt_record_lock(err);
		if (lock < 0)
			return lock;
		if (find_attached(options, attached))
			return 0;
	}
	return attach_session(session, options, lock, &attached->attachment, err);
}

/* From the first connection to a usable device; says what goes wrong. */
static enum command_status bring_up(
	const struct connect_options *options, struct attached *attached)
{
	struct session session = { 0 };
	struct nbdt_error err;

	enum command_status status = session_open_any(&session, options);
	defer_signals(true);
	if (!status && attach_or_find(&session, options, attached, &err))
		status = report(NULL, &err);
	/* The kernel has references of its own by now. */
	session_close(&session);
	if (!status && nbdt_device_settle(attached->attachment.index, SETTLE_TIMEOUT, &err))
		say_warning("%s", err.text);
	return status;
}

/* Tells the caller, and systemd, which device it is. */
static enum command_status announce(const struct attached *attached)
{
	int index = attached->attachment.index;

	enum command_status status = tell_device(index, attached->already);
	if (status)
		return status;
	if (attached->already)
		notify("READY=1", "was attached to /dev/nbd%d already", index);
	else
		notify("READY=1", "attached %s to /dev/nbd%d",
			nbdt_record_identifier_source(attached->attachment.identifier), index);
	return STATUS_DONE;
}

/* By netlink the kernel keeps the device alone; no process stays. */
static enum command_status attach_and_leave(const struct connect_options *options)
{
	const struct nbdt_detach_options force = { .force = true };
	struct attached attached = { 0 };

	enum command_status status = bring_up(options, &attached);
	if (!status && !attached.already && was_interrupted()) {
		nbdt_detach(attached.attachment.index, &force, NULL);
		say_error("interrupted");
		/* To end by the signal is what systemd takes for obeying, not for a failure. */
		defer_signals(false);
		status = STATUS_FAILED;
	}
	if (!status)
		status = announce(&attached);
	nbdt_attachment_release(&attached.attachment);
	return status;
}

static enum command_status listen_for_orders(struct resident *resident)
{
	struct nbdt_error err;

	if (!nbdt_control_listen(resident->index, &resident->control, &err))
		return STATUS_DONE;
	nbdt_detach(resident->index, &(struct nbdt_detach_options){ .force = true }, NULL);
	return report(NULL, &err);
}

/* The parent, which may end now, learns how it went; if it is gone already, LINK detaches. */
static void leave_parent(struct resident *resident, int link, const struct readiness *readiness)
{
	prctl(PR_SET_PDEATHSIG, 0);
	if (background_report(link, readiness))
		resident->link = link;
	background_settle();
}

/*
 * By ioctl a process must stay inside NBD_DO_IT: this one. LINK leads to the parent, or is -1 in
 * the foreground.
 */
static enum command_status keep_attached(const struct connect_options *options, int link)
{
	struct resident resident = { .link = -1, .timeout = options->timeout };
	struct attached attached = { 0 };
	struct readiness readiness;

	readiness.status = bring_up(options, &attached);
	resident.index = readiness.index = attached.attachment.index;
	readiness.already = attached.already;
	resident.attachment = &attached.attachment;
	bool stays = !readiness.status && !attached.already;
	if (stays) {
		if (options->swap)
			resist_memory_pressure();
		resident_block_signals(&resident);
		resident.ended = nbdt_ioctl_fd(attached.attachment.session);
		readiness.status = listen_for_orders(&resident);
		stays = !readiness.status;
	}
	if (link >= 0)
		leave_parent(&resident, link, &readiness);
	else if (!readiness.status)
		readiness.status = announce(&attached);
	if (stays)
		resident_run(&resident);
	nbdt_attachment_release(&attached.attachment);
	return readiness.status;
}

/* Until it is ready, the process does not outlive us: nobody would know of its device. */
static enum command_status attach_and_stay(const struct connect_options *options)
{
	int link;

	int pid = background_fork(&link);
	if (pid < 0) {
		say_error("cannot fork: %s", strerrordesc_np(-pid));
		return STATUS_FAILED;
	}
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		exit((int)keep_attached(options, link));
	}
	struct readiness readiness = background_wait(link);
	if (!readiness.status)
		readiness.status = tell_device(readiness.index, readiness.already);
	return readiness.status;
}

static enum command_status try_only(const struct connect_options *options)
{
	struct session session = { 0 };

	enum command_status status = session_open_any(&session, options);
	if (!status)
		printf("%s: %" PRIu64 " bytes, blocks of %u, flags 0x%x, %u connections\n",
			session.source, session.export.size, session.block_size, session.flags,
			session.count);
	session_close(&session);
	return status;
}

static enum command_status attach(const struct connect_options *options)
{
	struct attached attached = { 0 };
	struct nbdt_error err;

	if (options->idempotent && find_attached(options, &attached)) {
		if (nbdt_device_settle(attached.attachment.index, SETTLE_TIMEOUT, &err))
			say_warning("%s", err.text);
		return announce(&attached);
	}
	if (nbdt_kernel_load_module(&err))
		return report(NULL, &err);
	int netlink = options->ioctl ? 0 : nbdt_kernel_has_netlink(&err);
	if (netlink < 0)
		return report(NULL, &err);
	struct connect_options decided = *options;
	decided.ioctl = !netlink;
	if (netlink)
		return attach_and_leave(&decided);
	return options->foreground ? keep_attached(&decided, -1) : attach_and_stay(&decided);
}

enum command_status connect_attach(const struct connect_options *options)
{
	if (options->dry_run)
		return try_only(options);
	if (options->foreground)
		notify_open();
	enum command_status status = attach(options);
	notify_close();
	return status;
}
