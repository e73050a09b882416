/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the nbd netlink family, built and read without a kernel that has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/nbd-netlink.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-internal.h"

static const struct genl family = { .family = 0x20, .group = -1 };

static struct nlattr *find(struct nl_msg *msg, int type)
{
	return nlmsg_find_attr(nlmsg_hdr(msg), GENL_HDRLEN, type);
}

static uint64_t u64_of(struct nl_msg *msg, int type)
{
	struct nlattr *attribute = find(msg, type);

	assert_non_null(attribute);
	assert_int_equal(nla_len(attribute), sizeof(uint64_t));
	return nla_get_u64(attribute);
}

static void connect_message_carries_every_value_even_zeroes(void **state)
{
	const int sockets[] = { 7, 9, 1000 };
	const struct nbdt_kernel_config config = {
		.index = 12,
		.sockets = sockets,
		.socket_count = 3,
		.size = UINT64_C(0x123456789000),
		.block_size = 4096,
		.server_flags = 0x105,
		.identifier = "nbd-tools:x",
	};
	struct nl_msg *msg = genl_request(&family, NBD_CMD_CONNECT, genl_connect_size(&config));

	(void)state;
	assert_non_null(msg);
	assert_int_equal(genl_put_connect(msg, &config), 0);
	assert_int_equal(nla_get_u32(find(msg, NBD_ATTR_INDEX)), 12);
	assert_int_equal(u64_of(msg, NBD_ATTR_SIZE_BYTES), config.size);
	assert_int_equal(u64_of(msg, NBD_ATTR_BLOCK_SIZE_BYTES), 4096);
	assert_int_equal(u64_of(msg, NBD_ATTR_TIMEOUT), 0);
	assert_int_equal(u64_of(msg, NBD_ATTR_DEAD_CONN_TIMEOUT), 0);
	assert_int_equal(u64_of(msg, NBD_ATTR_SERVER_FLAGS), 0x105);
	assert_int_equal(u64_of(msg, NBD_ATTR_CLIENT_FLAGS), 0);
	assert_string_equal(nla_get_string(find(msg, NBD_ATTR_BACKEND_IDENTIFIER)), "nbd-tools:x");
	nlmsg_free(msg);
}

static void connect_message_lists_sockets_in_order(void **state)
{
	const int sockets[] = { 7, 9, 1000 };
	const struct nbdt_kernel_config config = {
		.index = NBDT_INDEX_ANY, .sockets = sockets, .socket_count = 3, .block_size = 512
	};
	struct nl_msg *msg = genl_request(&family, NBD_CMD_CONNECT, genl_connect_size(&config));
	const struct nlattr *item;
	size_t count = 0;
	int left;

	(void)state;
	assert_int_equal(genl_put_connect(msg, &config), 0);
	nla_for_each_nested(item, find(msg, NBD_ATTR_SOCKETS), left) {
		struct nlattr *fd = nla_find(nla_data(item), nla_len(item), NBD_SOCK_FD);

		assert_int_equal(nla_type(item), NBD_SOCK_ITEM);
		assert_non_null(fd);
		assert_int_equal(nla_get_u32(fd), sockets[count++]);
	}
	assert_int_equal(count, 3);
	nlmsg_free(msg);
}

static void connect_message_leaves_the_choice_of_a_device_to_the_kernel(void **state)
{
	const int socket = 3;
	const struct nbdt_kernel_config config = {
		.index = NBDT_INDEX_ANY, .sockets = &socket, .socket_count = 1, .block_size = 512
	};
	struct nl_msg *msg = genl_request(&family, NBD_CMD_CONNECT, genl_connect_size(&config));

	(void)state;
	assert_int_equal(genl_put_connect(msg, &config), 0);
	assert_null(find(msg, NBD_ATTR_INDEX));
	assert_null(find(msg, NBD_ATTR_BACKEND_IDENTIFIER));
	nlmsg_free(msg);
}

static void connect_message_holds_the_most_sockets_and_the_longest_identifier(void **state)
{
	static int sockets[1024];
	char identifier[4001];
	struct nbdt_kernel_config config = { .sockets = sockets,
		.socket_count = 1024,
		.block_size = 512,
		.identifier = identifier };

	(void)state;
	memset(identifier, 'x', 4000);
	identifier[4000] = '\0';
	struct nl_msg *msg = genl_request(&family, NBD_CMD_CONNECT, genl_connect_size(&config));
	assert_int_equal(genl_put_connect(msg, &config), 0);
	nlmsg_free(msg);
}

static void change_message_leaves_out_what_stays(void **state)
{
	const uint64_t size = 1 << 20;
	const struct nbdt_kernel_change change = { .size = &size };
	struct nl_msg *msg = genl_request(&family, NBD_CMD_RECONFIGURE, genl_change_size(&change));

	(void)state;
	assert_int_equal(genl_put_change(msg, 3, &change), 0);
	assert_int_equal(nla_get_u32(find(msg, NBD_ATTR_INDEX)), 3);
	assert_int_equal(u64_of(msg, NBD_ATTR_SIZE_BYTES), size);
	assert_null(find(msg, NBD_ATTR_BLOCK_SIZE_BYTES));
	assert_null(find(msg, NBD_ATTR_TIMEOUT));
	assert_null(find(msg, NBD_ATTR_CLIENT_FLAGS));
	assert_null(find(msg, NBD_ATTR_SOCKETS));
	nlmsg_free(msg);
}

/* A STATUS answer as nbd_genl_status() makes it: every other device busy. */
static struct nl_msg *status_answer(uint32_t devices)
{
	struct nl_msg *msg = genl_request(&family, NBD_CMD_STATUS, 64 + devices * 32);
	struct nlattr *list = nla_nest_start(msg, NBD_ATTR_DEVICE_LIST);

	for (uint32_t i = 0; i < devices; i++) {
		struct nlattr *item = nla_nest_start(msg, NBD_DEVICE_ITEM);

		assert_int_equal(nla_put_u32(msg, NBD_DEVICE_INDEX, i), 0);
		assert_int_equal(nla_put_u8(msg, NBD_DEVICE_CONNECTED, i % 2), 0);
		nla_nest_end(msg, item);
	}
	nla_nest_end(msg, list);
	return msg;
}

static void status_of_hundreds_of_devices_is_read(void **state)
{
	struct nl_msg *msg = status_answer(600);
	struct nbdt_kernel_status *list = NULL;
	size_t count = 0;

	(void)state;
	assert_int_equal(genl_get_devices(nlmsg_hdr(msg), &list, &count), 0);
	assert_int_equal(count, 600);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(list[i].index, i);
		assert_int_equal(list[i].busy, i % 2);
	}
	free(list);
	nlmsg_free(msg);
}

static void status_item_without_index_or_with_a_short_one_is_passed_over(void **state)
{
	struct nl_msg *msg = genl_request(&family, NBD_CMD_STATUS, 256);
	struct nlattr *list = nla_nest_start(msg, NBD_ATTR_DEVICE_LIST);
	struct nlattr *item = nla_nest_start(msg, NBD_DEVICE_ITEM);
	struct nbdt_kernel_status *devices = NULL;
	size_t count = 0;

	(void)state;
	nla_put_u8(msg, NBD_DEVICE_CONNECTED, 1);
	nla_nest_end(msg, item);
	item = nla_nest_start(msg, NBD_DEVICE_ITEM);
	nla_put_u8(msg, NBD_DEVICE_INDEX, 1);
	nla_put_u8(msg, NBD_DEVICE_CONNECTED, 1);
	nla_nest_end(msg, item);
	nla_nest_end(msg, list);
	assert_int_equal(genl_get_devices(nlmsg_hdr(msg), &devices, &count), 0);
	assert_int_equal(count, 0);
	nlmsg_free(msg);
}

static void answer_without_a_device_number_is_an_error(void **state)
{
	struct nl_msg *msg = genl_request(&family, NBD_CMD_CONNECT, 64);
	int index = -5;

	(void)state;
	assert_int_equal(genl_get_index(nlmsg_hdr(msg), &index), -ENODEV);
	assert_int_equal(genl_put_index(msg, 31), 0);
	assert_int_equal(genl_get_index(nlmsg_hdr(msg), &index), 0);
	assert_int_equal(index, 31);
	nlmsg_free(msg);
}

/* An error answer with an echo of ECHO bytes of the request, then the kernel's words. */
static struct nl_msg *acknowledgement(uint32_t echo, int flags, const char *words)
{
	struct nl_msg *msg = nlmsg_alloc_simple(NLMSG_ERROR, flags);
	const struct nlmsgerr error = { .error = -EINVAL, .msg.nlmsg_len = NLMSG_HDRLEN + echo };

	assert_int_equal(nlmsg_append(msg, (void *)&error, sizeof(error), 0), 0);
	if (!(flags & NLM_F_CAPPED) && echo)
		assert_non_null(nlmsg_reserve(msg, echo, NLMSG_ALIGNTO));
	assert_int_equal(nla_put_string(msg, NLMSGERR_ATTR_MSG, words), 0);
	return msg;
}

static void words_of_the_kernel_are_found_behind_an_echo_and_without(void **state)
{
	char text[64];

	(void)state;
	for (uint32_t echo = 0; echo <= 40; echo += 20)
		for (int capped = 0; capped <= NLM_F_CAPPED; capped += NLM_F_CAPPED) {
			struct nl_msg *msg =
				acknowledgement(echo, NLM_F_ACK_TLVS | capped, "bad index");

			assert_true(genl_ack_words(nlmsg_hdr(msg), text, sizeof(text)));
			assert_string_equal(text, "bad index");
			nlmsg_free(msg);
		}
}

static void words_are_not_sought_where_the_kernel_sent_none(void **state)
{
	struct nl_msg *msg = acknowledgement(0, 0, "bad index");
	char text[64];

	(void)state;
	assert_false(genl_ack_words(nlmsg_hdr(msg), text, sizeof(text)));
	nlmsg_free(msg);
}

static void echo_longer_than_the_message_is_not_followed(void **state)
{
	struct nl_msg *msg = acknowledgement(0, NLM_F_ACK_TLVS, "bad index");
	struct nlmsgerr *error = nlmsg_data(nlmsg_hdr(msg));
	char text[64];

	(void)state;
	error->msg.nlmsg_len = 0xfffffff0;
	assert_false(genl_ack_words(nlmsg_hdr(msg), text, sizeof(text)));
	/* One too short leads backwards, where a request could look like an attribute. */
	error->msg = (struct nlmsghdr){
		.nlmsg_len = 3, .nlmsg_type = 8, .nlmsg_flags = NLMSGERR_ATTR_MSG, .nlmsg_seq = 'x'
	};
	assert_false(genl_ack_words(nlmsg_hdr(msg), text, sizeof(text)));
	nlmsg_free(msg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connect_message_carries_every_value_even_zeroes),
		cmocka_unit_test(connect_message_lists_sockets_in_order),
		cmocka_unit_test(connect_message_leaves_the_choice_of_a_device_to_the_kernel),
		cmocka_unit_test(connect_message_holds_the_most_sockets_and_the_longest_identifier),
		cmocka_unit_test(change_message_leaves_out_what_stays),
		cmocka_unit_test(status_of_hundreds_of_devices_is_read),
		cmocka_unit_test(status_item_without_index_or_with_a_short_one_is_passed_over),
		cmocka_unit_test(answer_without_a_device_number_is_an_error),
		cmocka_unit_test(words_of_the_kernel_are_found_behind_an_echo_and_without),
		cmocka_unit_test(words_are_not_sought_where_the_kernel_sent_none),
		cmocka_unit_test(echo_longer_than_the_message_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
