/* SPDX-License-Identifier: Apache-2.0 */
/* What the netlink and the ioctl path share, and the parts of generic netlink among themselves. */
#ifndef NBDT_KERNEL_INTERNAL_H
#define NBDT_KERNEL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backoff.h"
#include "nbdtools-kernel.h"

struct nl_msg;
struct nl_sock;
struct nlmsghdr;

/* True when the nbd driver is in the kernel, loaded or built in. Loads nothing. */
bool kernel_has_driver(void);

/*
 * Refuses, in words, what the kernel would refuse with a bare EINVAL, and what it would wrongly
 * accept.
 */
int kernel_check_config(const struct nbdt_kernel_config *config, struct nbdt_error *err);
int kernel_check_change(const struct nbdt_kernel_change *change, struct nbdt_error *err);

/* How long an explicit device that is merely open is tried again. */
#define KERNEL_BUSY_MS 3000

/*
 * For a device that the kernel called busy: 0 after a pause, when another try is worth it, or the
 * error to end with. -EALREADY it is connected; -EBUSY it is still in use after a disconnect, or
 * stayed open for KERNEL_BUSY_MS.
 */
int kernel_wait_busy(int index, struct backoff *backoff, struct nbdt_error *err);

/* Generic netlink: a socket and what the kernel says of the family */
struct genl {
	struct nl_sock *sock;
	int family;
	int group;       /* of link-dead events, or -1 */
	bool isolated;   /* send from a child process, see genl-send.c */
	char words[160]; /* the kernel's extended acknowledgement of the last exchange, or "" */
};

/*
 * Called for each message of the family that answers; a negative errno ends up as
 * genl_exchange()'s result.
 */
typedef int genl_reply(const struct nlmsghdr *header, void *arg);

/*
 * Opens a socket and looks the family up. Errors: -ENODEV no driver; -EPFNOSUPPORT no family from
 * here; -ETIMEDOUT. genl_close() may follow a failure too.
 */
int genl_open(struct genl *genl, bool isolated, struct nbdt_error *err);
void genl_close(struct genl *genl);

/*
 * A request of the family with room for SIZE bytes of attributes, for nlmsg_free(). NULL: no
 * memory.
 */
struct nl_msg *genl_request(const struct genl *genl, uint8_t command, size_t size);

/*
 * Sends MSG and takes answers up to the acknowledgement. Returns 0 or the kernel's negative
 * errno, or -ETIMEDOUT.
 */
int genl_exchange(struct genl *genl, struct nl_msg *msg, genl_reply *reply, void *arg);

/* Fills ERR with a sentence, the system's words for CODE and the kernel's own of this exchange. */
int genl_error(const struct genl *genl, struct nbdt_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The text of an extended acknowledgement (NLMSGERR_ATTR_MSG); false if there is none. */
bool genl_ack_words(const struct nlmsghdr *header, char *text, size_t size);

/* A message on its way. */
struct genl_sending {
	int pid;    /* of the child that sends, or 0 */
	int report; /* its pipe, or -1 */
};

/* Sends one message. Errors: those of sendto(2), pipe2(2), fork(2). */
int genl_send(int fd, const struct nlmsghdr *header, bool isolated, struct genl_sending *sending);
/* Waits until the socket is readable. Errors: -ETIMEDOUT; what the child's send met. */
int genl_wait(int fd, struct genl_sending *sending);
/* Reaps the child; if it is stuck, leaves it behind. */
void genl_sent(struct genl_sending *sending, bool stuck);

/*
 * Attributes of the commands; all return 0 or -EMSGSIZE, -ENODEV: the kernel's answer lacks the
 * attribute.
 */
size_t genl_connect_size(const struct nbdt_kernel_config *config);
int genl_put_connect(struct nl_msg *msg, const struct nbdt_kernel_config *config);
size_t genl_change_size(const struct nbdt_kernel_change *change);
int genl_put_change(struct nl_msg *msg, int index, const struct nbdt_kernel_change *change);
int genl_put_index(struct nl_msg *msg, int index);
int genl_get_index(const struct nlmsghdr *header, int *index);
/* Adds the devices of a STATUS answer to an array that grows by realloc(). */
int genl_get_devices(
	const struct nlmsghdr *header, struct nbdt_kernel_status **list, size_t *count);

#endif
