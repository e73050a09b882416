/* SPDX-License-Identifier: Apache-2.0 */
/* A generic netlink socket, the family behind it, and one exchange of a request and its answers. */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel-internal.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

/*
 * An exchange while it runs. libnl turns errors into numbers of its own: all of these keep the
 * kernel's.
 */
struct exchange {
	struct genl *genl;
	genl_reply *reply;
	void *arg;
	int result;
	bool done;
};

bool genl_ack_words(const struct nlmsghdr *header, char *text, size_t size)
{
	size_t length = header->nlmsg_len;
	size_t offset = NLMSG_HDRLEN + sizeof(struct nlmsgerr);

	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS) || length < offset)
		return false;
	/* The request comes back between code and text, unless it was capped (NETLINK_CAP_ACK). */
	if (!(header->nlmsg_flags & NLM_F_CAPPED)) {
		const struct nlmsgerr *error = nlmsg_data(header);
		size_t echo = error->msg.nlmsg_len;

		if (echo < NLMSG_HDRLEN || echo > length - NLMSG_HDRLEN)
			return false;
		offset += NLMSG_ALIGN(echo) - NLMSG_HDRLEN;
	}
	if (offset >= length || length - offset > INT16_MAX)
		return false;
	const struct nlattr *words =
		nla_find((const struct nlattr *)((const char *)header + offset),
			(int)(length - offset), NLMSGERR_ATTR_MSG);
	if (!words || nla_len(words) <= 0)
		return false;
	snprintf(text, size, "%.*s", nla_len(words), (const char *)nla_data(words));
	return text[0] != '\0';
}

static int on_error(struct sockaddr_nl *sender, struct nlmsgerr *error, void *arg)
{
	struct exchange *exchange = arg;
	const struct nlmsghdr *header =
		(const struct nlmsghdr *)((const char *)error - NLMSG_HDRLEN);

	(void)sender;
	exchange->done = true;
	exchange->result = error->error;
	genl_ack_words(header, exchange->genl->words, sizeof(exchange->genl->words));
	return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct exchange *exchange = arg;

	(void)msg;
	exchange->done = true;
	return NL_STOP;
}

static int on_reply(struct nl_msg *msg, void *arg)
{
	struct exchange *exchange = arg;

	if (exchange->reply && exchange->result == 0)
		exchange->result = exchange->reply(nlmsg_hdr(msg), exchange->arg);
	return NL_OK;
}

static int receive_answers(
	struct exchange *exchange, struct nl_cb *cb, struct genl_sending *sending)
{
	struct nl_sock *sock = exchange->genl->sock;

	while (!exchange->done) {
		int result = genl_wait(nl_socket_get_fd(sock), sending);

		if (result < 0)
			return result;
		result = nl_recvmsgs(sock, cb);
		if (result < 0 && !exchange->done)
			return result == -NLE_NOMEM ? -ENOBUFS : -EPROTO;
	}
	return exchange->result;
}

int genl_exchange(struct genl *genl, struct nl_msg *msg, genl_reply *reply, void *arg)
{
	struct exchange exchange = { .genl = genl, .reply = reply, .arg = arg };
	struct genl_sending sending;
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);

	genl->words[0] = '\0';
	if (!cb)
		return -ENOMEM;
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_reply, &exchange);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, &exchange);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, &exchange);
	nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_ACK;
	nl_complete_msg(genl->sock, msg);
	int fd = nl_socket_get_fd(genl->sock);
	int result = genl_send(fd, nlmsg_hdr(msg), genl->isolated, &sending);
	if (result == 0) {
		result = receive_answers(&exchange, cb, &sending);
		genl_sent(&sending, result == -ETIMEDOUT);
	}
	nl_cb_put(cb);
	return result;
}

int genl_error(const struct genl *genl, struct nbdt_error *err, int code, const char *format, ...)
{
	char text[320];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (code == -EPERM)
		return nbdt_error_set(err, code, "%s: needs root (CAP_SYS_ADMIN)", text);
	if (code == -ETIMEDOUT)
		return nbdt_error_set(err, code,
			"%s: the kernel does not answer; a disconnect of some NBD device, whose "
			"server does not read, may be blocking it",
			text);
	if (genl->words[0])
		return nbdt_error_set(
			err, code, "%s: %s (%s)", text, strerrordesc_np(-code), genl->words);
	return nbdt_error_errno(err, code, "%s", text);
}

static int find_group(struct nlattr *groups)
{
	struct nlattr *item;
	int left;

	nla_for_each_nested(item, groups, left) {
		struct nlattr *group[CTRL_ATTR_MCAST_GRP_MAX + 1];

		if (nla_parse_nested(group, CTRL_ATTR_MCAST_GRP_MAX, item, NULL) < 0 ||
			!group[CTRL_ATTR_MCAST_GRP_NAME] || !group[CTRL_ATTR_MCAST_GRP_ID])
			continue;
		if (nla_strcmp(group[CTRL_ATTR_MCAST_GRP_NAME], NBD_GENL_MCAST_GROUP_NAME) == 0 &&
			nla_len(group[CTRL_ATTR_MCAST_GRP_ID]) >= (int)sizeof(uint32_t))
			return (int)nla_get_u32(group[CTRL_ATTR_MCAST_GRP_ID]);
	}
	return -1;
}

static int on_family(const struct nlmsghdr *header, void *arg)
{
	struct genl *genl = arg;
	struct nlattr *attributes[CTRL_ATTR_MAX + 1];

	if (genlmsg_parse((struct nlmsghdr *)header, 0, attributes, CTRL_ATTR_MAX, NULL) < 0 ||
		!attributes[CTRL_ATTR_FAMILY_ID] ||
		nla_len(attributes[CTRL_ATTR_FAMILY_ID]) < (int)sizeof(uint16_t))
		return -EPROTO;
	genl->family = nla_get_u16(attributes[CTRL_ATTR_FAMILY_ID]);
	if (attributes[CTRL_ATTR_MCAST_GROUPS])
		genl->group = find_group(attributes[CTRL_ATTR_MCAST_GROUPS]);
	return 0;
}

/*
 * Not genl_ctrl_resolve(): that waits without limit, and asks for the whole family list in some
 * versions of libnl.
 */
static int look_up_family(struct genl *genl)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (!msg || !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, GENL_ID_CTRL, 0, 0,
			    CTRL_CMD_GETFAMILY, 1)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	int result = -ENOMEM;
	if (nla_put_string(msg, CTRL_ATTR_FAMILY_NAME, NBD_GENL_FAMILY_NAME) == 0)
		result = genl_exchange(genl, msg, on_family, genl);
	nlmsg_free(msg);
	return result;
}

static int open_socket(struct genl *genl, struct nbdt_error *err)
{
	const int on = 1;

	genl->sock = nl_socket_alloc();
	if (!genl->sock)
		return nbdt_error_errno(err, -ENOMEM, "netlink");
	if (genl_connect(genl->sock) < 0)
		return nbdt_error_errno(err, -EPFNOSUPPORT, "this system has no generic netlink");
	/* A kernel without these (before 4.12) just says less. */
	int fd = nl_socket_get_fd(genl->sock);
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	/* STATUS of hundreds of devices comes in one message: libnl takes its length first. */
	nl_socket_enable_msg_peek(genl->sock);
	return 0;
}

int genl_open(struct genl *genl, bool isolated, struct nbdt_error *err)
{
	*genl = (struct genl){ .group = -1, .isolated = isolated };
	/* From 6.6 on the look-up alone would load the module. */
	if (!kernel_has_driver())
		return nbdt_error_set(err, -ENODEV,
			"this kernel has no nbd driver loaded; modprobe nbd loads it");
	int result = open_socket(genl, err);
	if (result < 0)
		return result;
	result = look_up_family(genl);
	if (result == -ENOENT)
		return nbdt_error_set(err, -EPFNOSUPPORT,
			"the nbd driver has no netlink family here: "
			"other network namespaces need Linux 6.4, and all of them 4.12");
	if (result < 0)
		return genl_error(genl, err, result, "looking for the nbd driver");
	return 0;
}

void genl_close(struct genl *genl)
{
	nl_socket_free(genl->sock);
	genl->sock = NULL;
}

struct nl_msg *genl_request(const struct genl *genl, uint8_t command, size_t size)
{
	struct nl_msg *msg = nlmsg_alloc_size(NLMSG_HDRLEN + GENL_HDRLEN + size);

	if (msg && !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, genl->family, 0, 0, command,
			   NBD_GENL_VERSION)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}
