/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-connect's main job: handshakes in user space, then the sockets go to the kernel. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "background.h"
#include "cleanup.h"
#include "nbd-connect.h"
#include "resident.h"

#define SETTLE_TIMEOUT 30 /* seconds for partitions and udev */
#define AUTO_CONNECTIONS 4

/*
 * The largest request that we let the kernel send, if the server allows it. Larger ones were not
 * faster, and kernels before 6.12 default to 128 KiB.
 */
#define MAX_REQUEST (1024u * 1024)

/* An export of which some connections are open, ready for the kernel. */
struct session {
	struct nbdt_export export;
	struct nbdt_client *clients[MAX_CONNECTIONS];
	int sockets[MAX_CONNECTIONS];
	unsigned int count;
	uint32_t block_size;
	uint64_t size; /* bytes, whole blocks */
	uint16_t flags;
	char *source; /* URI to be shown */
};

static void close_session(struct session *session)
{
	for (unsigned int i = 0; i < session->count; i++) {
		if (session->sockets[i] >= 0)
			close(session->sockets[i]);
		nbdt_client_close(session->clients[i]);
	}
	session->count = 0;
	nbdt_export_clear(&session->export);
	free(session->source);
}

/* Opens one more connection to the export, which must look the same as on the first one. */
static int add_connection(
	struct session *session, const struct connect_options *options, struct nbdt_error *err)
{
	struct nbdt_client **client = &session->clients[session->count];
	struct nbdt_export export = { 0 };

	int result = nbdt_client_connect(options->uri, options->handshake_timeout, client, err);
	if (result)
		return result;
	session->sockets[session->count++] = -1;
	result = nbdt_client_go(*client, options->uri->export_name, &export, err);
	if (result)
		return result;
	if (session->count == 1) {
		session->export = export;
		return 0;
	}
	if (export.size != session->export.size || export.flags != session->export.flags)
		result = nbdt_error_set(err, -EPROTO,
			"the server shows another size or other flags on connection %u",
			session->count);
	nbdt_export_clear(&export);
	return result;
}

static unsigned int choose_connections(
	const struct session *session, const struct connect_options *options)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (!(session->export.flags & NBDT_FLAG_CAN_MULTI_CONN)) {
		if (options->connections > 1)
			say_warning("%s: the server does not allow several connections to one"
				    " export; using one",
				session->source);
		return 1;
	}
	if (options->connections != CONNECTIONS_AUTO)
		return options->connections;
	return cpus < AUTO_CONNECTIONS ? (unsigned int)cpus : AUTO_CONNECTIONS;
}

/*
 * The logical block size must hold the server's minimum: the kernel will not send less than one
 * block.
 */
static int choose_block_size(
	struct session *session, const struct connect_options *options, struct nbdt_error *err)
{
	uint32_t minimum =
		session->export.has_block_sizes ? session->export.block_minimum : 1;
	uint32_t page = (uint32_t)getpagesize();

	session->block_size = options->block_size ? options->block_size
			      : minimum > 512    ? minimum
						 : 512;
	if (session->block_size < minimum)
		return nbdt_error_set(err, -EINVAL,
			"the server takes no blocks of %u bytes, its minimum is %u",
			session->block_size, minimum);
	if (session->block_size > page)
		return nbdt_error_set(err, -EINVAL,
			"the server's minimum block of %u bytes is more than this kernel's"
			" page of %u",
			minimum, page);
	return 0;
}

/* SESSION's block size is set and not 0. */
static int check_size(struct session *session, struct nbdt_error *err)
{
	uint64_t size = session->export.size;
	uint64_t rest = size % session->block_size;

	if (size < session->block_size)
		return nbdt_error_set(err, -ENODATA,
			"the export has %" PRIu64 " bytes, less than one block of %u: nothing to"
			" attach",
			size, session->block_size);
	if (rest)
		say_warning("%s: the last %" PRIu64 " bytes do not fill a block of %u bytes and are"
			    " left out",
			session->source, rest, session->block_size);
	session->size = size - rest;
	return 0;
}

static int check_export(
	struct session *session, const struct connect_options *options, struct nbdt_error *err)
{
	const struct nbdt_export *export = &session->export;

	if (export->has_block_sizes && export->block_maximum < (uint32_t)getpagesize())
		return nbdt_error_set(err, -EINVAL,
			"the server takes at most %u bytes at a time, and the kernel sends pages"
			" of %d",
			export->block_maximum, getpagesize());
	int result = choose_block_size(session, options, err);
	if (result)
		return result;
	result = check_size(session, err);
	if (result)
		return result;
	session->flags = export->flags;
	if (options->read_only)
		session->flags |= NBDT_FLAG_READ_ONLY;
	else if (export->flags & NBDT_FLAG_READ_ONLY)
		say_warning("%s: the export is read-only", session->source);
	return 0;
}

static int open_session(
	struct session *session, const struct connect_options *options, struct nbdt_error *err)
{
	session->source = options->identifier ? strdup(options->identifier)
					      : nbdt_uri_format(options->uri);
	if (!session->source)
		return nbdt_error_errno(err, -ENOMEM, "source");
	int result = add_connection(session, options, err);
	if (!result)
		result = check_export(session, options, err);
	if (result)
		return result;
	unsigned int wanted = choose_connections(session, options);
	while (!result && session->count < wanted)
		result = add_connection(session, options, err);
	return result;
}

static int take_sockets(struct session *session, struct nbdt_error *err)
{
	for (unsigned int i = 0; i < session->count; i++) {
		session->sockets[i] = nbdt_client_take_socket(session->clients[i], err);
		if (session->sockets[i] < 0)
			return session->sockets[i];
	}
	return 0;
}

static uint32_t choose_max_request(const struct session *session)
{
	if (session->export.has_block_sizes && session->export.block_maximum < MAX_REQUEST)
		return session->export.block_maximum;
	return MAX_REQUEST;
}

static int attach_session(struct session *session, const struct connect_options *options,
	struct nbdt_attachment *attachment, struct nbdt_error *err)
{
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
			.source = session->source,
			.read_only = session->flags & NBDT_FLAG_READ_ONLY,
		},
		.lock = -1,
	};

	int result = take_sockets(session, err);
	if (!result)
		result = nbdt_attach(&config, attachment, err);
	return result;
}

/* A device whose name nobody has learnt must not stay: from its attaching on, signals wait. */
static void defer_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
}

static bool was_interrupted(void)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1
	       || sigismember(&pending, SIGHUP) == 1;
}

/* From the first connection to a usable device; says what goes wrong. */
static enum command_status bring_up(
	const struct connect_options *options, struct nbdt_attachment *attachment)
{
	struct session session = { 0 };
	struct nbdt_error err;

	int result = open_session(&session, options, &err);
	defer_signals();
	if (!result)
		result = attach_session(&session, options, attachment, &err);
	/* The kernel has references of its own by now. */
	close_session(&session);
	if (result)
		return report(NULL, &err);
	if (nbdt_device_settle(attachment->index, SETTLE_TIMEOUT, &err))
		say_warning("%s", err.text);
	return STATUS_DONE;
}

/* By netlink the kernel keeps the device alone; no process stays. */
static enum command_status attach_and_leave(const struct connect_options *options)
{
	const struct nbdt_detach_options force = { .force = true };
	struct nbdt_attachment attachment = { 0 };

	enum command_status status = bring_up(options, &attachment);
	if (!status && was_interrupted()) {
		nbdt_detach(attachment.index, &force, NULL);
		say_error("interrupted");
		status = STATUS_FAILED;
	}
	if (status)
		return status;
	printf("/dev/nbd%d\n", attachment.index);
	nbdt_attachment_release(&attachment);
	return STATUS_DONE;
}

/* By ioctl a process must stay inside NBD_DO_IT. */
static enum command_status keep_attached(const struct connect_options *options, int link)
{
	struct resident resident = { .link = -1, .timeout = options->timeout };
	struct readiness readiness = { .status = STATUS_FAILED };
	struct nbdt_attachment attachment = { 0 };
	struct nbdt_error err;

	resident_block_signals(&resident);
	readiness.status = bring_up(options, &attachment);
	resident.index = readiness.index = attachment.index;
	resident.attachment = &attachment;
	if (!readiness.status && nbdt_control_listen(attachment.index, &resident.control, &err)) {
		readiness.status = report(NULL, &err);
		nbdt_detach(attachment.index, &(struct nbdt_detach_options){ .force = true }, NULL);
	}
	if (background_report(link, &readiness))
		resident.link = link;
	if (!readiness.status) {
		resident.ended = nbdt_ioctl_fd(attachment.session);
		background_settle();
		resident_run(&resident);
	}
	nbdt_attachment_release(&attachment);
	return readiness.status;
}

static enum command_status attach_and_stay(const struct connect_options *options)
{
	int link;

	int pid = background_fork(&link);
	if (pid < 0) {
		say_error("cannot fork: %s", strerrordesc_np(-pid));
		return STATUS_FAILED;
	}
	if (!pid)
		exit((int)keep_attached(options, link));
	struct readiness readiness = background_wait(link);
	if (!readiness.status)
		printf("/dev/nbd%d\n", readiness.index);
	return readiness.status;
}

static enum command_status try_only(const struct connect_options *options)
{
	struct session session = { 0 };
	struct nbdt_error err;

	int result = open_session(&session, options, &err);
	if (!result)
		printf("%s: %" PRIu64 " bytes, blocks of %u, flags 0x%x, %u connections\n",
			session.source, session.export.size, session.block_size, session.flags,
			session.count);
	close_session(&session);
	return result ? report(NULL, &err) : STATUS_DONE;
}

enum command_status connect_attach(const struct connect_options *options)
{
	struct nbdt_error err;

	if (options->dry_run)
		return try_only(options);
	if (nbdt_kernel_load_module(&err))
		return report(NULL, &err);
	int netlink = options->ioctl ? 0 : nbdt_kernel_has_netlink(&err);
	if (netlink < 0)
		return report(NULL, &err);
	struct connect_options decided = *options;
	decided.ioctl = !netlink;
	return netlink ? attach_and_leave(&decided) : attach_and_stay(&decided);
}
