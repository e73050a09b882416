/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Link-dead events: drivers/block/nbd.c, nbd_dead_link_work(). The kernel sends them to the
 * initial network namespace only.
 */
#include <errno.h>
#include <linux/nbd-netlink.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel-internal.h"

/* Room for some thousand events of a reader that is late. */
#define QUEUE_BYTES (1024 * 1024)

struct nbdt_link_events {
	struct genl genl;
};

int nbdt_link_events_open(struct nbdt_link_events **events, struct nbdt_error *err)
{
	struct nbdt_link_events *opened = calloc(1, sizeof(*opened));

	if (!opened)
		return nbdt_error_errno(err, -ENOMEM, "link events");
	int result = genl_open(&opened->genl, true, err);
	if (result == 0 && opened->genl.group < 0)
		result = nbdt_error_set(
			err, -EPFNOSUPPORT, "the nbd driver announces no dead links");
	if (result == 0 && nl_socket_add_membership(opened->genl.sock, opened->genl.group) < 0)
		result = nbdt_error_errno(
			err, -errno, "subscribing to the nbd driver's link events");
	if (result < 0) {
		nbdt_link_events_close(opened);
		return result;
	}
	/* More than net.core.rmem_max is cut by the kernel without an error. */
	nl_socket_set_buffer_size(opened->genl.sock, QUEUE_BYTES, 0);
	*events = opened;
	return 0;
}

int nbdt_link_events_fd(const struct nbdt_link_events *events)
{
	return nl_socket_get_fd(events->genl.sock);
}

/* The device of a message, or a negative errno if it is no link-dead event. */
static int read_event(
	const struct nbdt_link_events *events, const struct nlmsghdr *header, int size, int *index)
{
	const struct genlmsghdr *family_header;

	if (!nlmsg_ok(header, size) || header->nlmsg_type != events->genl.family ||
		!genlmsg_valid_hdr((struct nlmsghdr *)header, 0))
		return -EINVAL;
	family_header = genlmsg_hdr((struct nlmsghdr *)header);
	return family_header->cmd == NBD_CMD_LINK_DEAD ? genl_get_index(header, index) : -EINVAL;
}

int nbdt_link_events_next(struct nbdt_link_events *events, int *index, struct nbdt_error *err)
{
	union {
		struct nlmsghdr header;
		char bytes[1024];
	} message;

	for (;;) {
		struct sockaddr_nl sender = { .nl_pid = 0 };
		socklen_t length = sizeof(sender);
		ssize_t size = recvfrom(nbdt_link_events_fd(events), &message, sizeof(message),
			MSG_DONTWAIT, (struct sockaddr *)&sender, &length);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN)
			return -EAGAIN;
		if (size < 0)
			return nbdt_error_errno(err, -errno, "receiving link events");
		/* Port 0 is the kernel; others may send to this socket too. */
		if (sender.nl_pid == 0 &&
			read_event(events, &message.header, (int)size, index) == 0)
			return 0;
	}
}

void nbdt_link_events_close(struct nbdt_link_events *events)
{
	if (!events)
		return;
	genl_close(&events->genl);
	free(events);
}
