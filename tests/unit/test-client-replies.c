/* SPDX-License-Identifier: Apache-2.0 */
/* Replies of the transmission phase that are right: in any order, of any shape, with errors. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "client-fixture.h"

#define SIZE (1024u * 1024)
#define DONE NBD_REPLY_FLAG_DONE
#define BLOCK 512u /* bytes in one request, where a script says so */

static unsigned char disk[SIZE];  /* what the server has */
static unsigned char buffer[SIZE]; /* what the client gets */

static void begin(struct fixture *fixture, enum script_replies replies)
{
	for (size_t i = 0; i < SIZE; i++)
		disk[i] = (unsigned char)(i % 251 + i / 4096);
	memset(buffer, 0xee, sizeof(buffer));
	script_agree(fixture->script, replies);
	script_go_with_blocks(fixture->script, SIZE, FIXTURE_ALL_FLAGS, 1, BLOCK, BLOCK);
}

static int pread_disk(struct fixture *fixture, uint64_t offset, size_t length)
{
	return nbdt_client_pread(
		fixture->client, buffer + offset, length, offset, 0, &fixture->err);
}

/* Runs a test in each of the three modes, with a script of its own. */
static void in_each_mode(void (*test)(struct fixture *fixture, enum script_replies replies))
{
	for (enum script_replies replies = SCRIPT_SIMPLE; replies <= SCRIPT_EXTENDED; replies++) {
		void *each;

		fixture_set_up(&each);
		begin(each, replies);
		test(each, replies);
		fixture_finish(each);
		fixture_tear_down(&each);
	}
}

static void read_in_reverse(struct fixture *fixture, enum script_replies replies)
{
	const size_t blocks = 5;

	(void)replies;
	for (size_t i = 0; i < blocks; i++)
		script_expect_request(fixture->script, NBD_CMD_READ, 0, i * BLOCK, BLOCK);
	for (size_t i = blocks; i-- > 0;)
		script_answer_read(
			fixture->script, i + 1, i * BLOCK, disk + i * BLOCK, BLOCK);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	assert_int_equal(pread_disk(fixture, 0, blocks * BLOCK), 0);
	assert_memory_equal(buffer, disk, blocks * BLOCK);
}

static void rule_39_replies_come_in_any_order(void **state)
{
	(void)state;
	in_each_mode(read_in_reverse);
}

/* Each answer makes room for one more. */
static void read_many(struct fixture *fixture, enum script_replies replies)
{
	const size_t depth = 16, blocks = 40;

	(void)replies;
	for (size_t i = 0; i < depth; i++)
		script_expect_request(fixture->script, NBD_CMD_READ, 0, i * BLOCK, BLOCK);
	for (size_t i = 0; i < blocks; i++) {
		script_answer_read(
			fixture->script, i + 1, i * BLOCK, disk + i * BLOCK, BLOCK);
		if (i + depth < blocks)
			script_expect_request(
				fixture->script, NBD_CMD_READ, 0, (i + depth) * BLOCK, BLOCK);
	}
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	assert_int_equal(pread_disk(fixture, 0, blocks * BLOCK), 0);
	assert_memory_equal(buffer, disk, blocks * BLOCK);
}

static void sixteen_requests_are_in_flight(void **state)
{
	(void)state;
	in_each_mode(read_many);
}

static void write_blocks(struct fixture *fixture, enum script_replies replies)
{
	(void)replies;
	for (size_t i = 0; i < 3; i++) {
		script_expect_request(
			fixture->script, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA, i * BLOCK, BLOCK);
		script_add(fixture->script, SCRIPT_EXPECT, disk + i * BLOCK, BLOCK);
	}
	script_answer(fixture->script, 2, 0);
	script_answer(fixture->script, 3, 0);
	script_answer(fixture->script, 1, 0);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	assert_int_equal(nbdt_client_pwrite(fixture->client, disk, 3L * BLOCK, 0,
				 NBDT_CMD_FLAG_FUA, &fixture->err),
		0);
}

static void rule_31_every_piece_of_a_write_has_fua(void **state)
{
	(void)state;
	in_each_mode(write_blocks);
}

static void fail_in_every_way(struct fixture *fixture, enum script_replies replies)
{
	static const struct {
		uint32_t wire;
		int code;
	} errors[] = { { NBD_EPERM, -EPERM }, { NBD_EIO, -EIO }, { NBD_ENOMEM, -ENOMEM },
		{ NBD_EINVAL, -EINVAL }, { NBD_ENOSPC, -ENOSPC }, { NBD_EOVERFLOW, -EOVERFLOW },
		{ NBD_ENOTSUP, -EOPNOTSUPP }, { 2, -EINVAL }, { 12345, -EINVAL },
		{ UINT32_MAX, -EINVAL } };
	const size_t count = sizeof(errors) / sizeof(errors[0]);

	(void)replies;
	for (uint64_t i = 0; i < count; i++) {
		script_expect_request(fixture->script, NBD_CMD_READ, 0, i, 4);
		script_answer(fixture->script, i + 1, errors[i].wire);
	}
	/* A failed READ has no payload, and the stream is in step. */
	script_expect_request(fixture->script, NBD_CMD_READ, 0, 0, 4);
	script_answer_read(fixture->script, count + 1, 0, disk, 4);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	for (uint64_t i = 0; i < count; i++) {
		assert_int_equal(pread_disk(fixture, i, 4), errors[i].code);
		assert_int_equal(fixture->err.code, errors[i].code);
		assert_non_null(strstr(fixture->err.text, "the server: READ of 4 bytes at offset"));
	}
	assert_int_equal(pread_disk(fixture, 0, 4), 0);
}

static void rule_38_errors_of_the_wire_become_those_of_the_system(void **state)
{
	(void)state;
	in_each_mode(fail_in_every_way);
}

/* The second and fourth of 20 fail: no request follows, but 16 answers are awaited. */
static void fail_amid(struct fixture *fixture, enum script_replies replies)
{
	(void)replies;
	for (size_t i = 0; i < 16; i++)
		script_expect_request(fixture->script, NBD_CMD_READ, 0, i * BLOCK, BLOCK);
	for (size_t i = 0; i < 16; i++) {
		if (i == 1 || i == 3)
			script_answer(fixture->script, i + 1, i == 1 ? NBD_EIO : NBD_ENOMEM);
		else
			script_answer_read(
				fixture->script, i + 1, i * BLOCK, disk + i * BLOCK, BLOCK);
		if (i == 0)
			script_expect_request(
				fixture->script, NBD_CMD_READ, 0, 16ULL * BLOCK, BLOCK);
	}
	script_answer_read(fixture->script, 17, 16ULL * BLOCK, disk + 16UL * BLOCK, BLOCK);
	script_expect_request(fixture->script, NBD_CMD_FLUSH, 0, 0, 0);
	script_answer(fixture->script, 18, 0);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	assert_int_equal(pread_disk(fixture, 0, 20UL * BLOCK), -EIO);
	assert_non_null(strstr(fixture->err.text, "READ of 512 bytes at offset 512"));
	assert_int_equal(nbdt_client_flush(fixture->client, &fixture->err), 0);
}

static void first_error_is_told_and_the_rest_is_awaited(void **state)
{
	(void)state;
	in_each_mode(fail_amid);
}

/* Data, holes, and both requests' chunks mixed, last part first. */
static void rule_41_chunks_come_in_any_order(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	begin(fixture, SCRIPT_STRUCTURED);
	memset(disk + 100, 0, 200);
	memset(disk + 512, 0, 512);
	script_expect_request(script, NBD_CMD_READ, 0, 0, BLOCK);
	script_expect_request(script, NBD_CMD_READ, 0, BLOCK, BLOCK);
	script_data(script, 1, 0, 300, disk + 300, 212);
	script_hole(script, 2, 0, 1023, 1);
	script_data(script, 1, 0, 0, disk, 1);
	script_hole(script, 1, 0, 100, 200);
	script_hole(script, 2, DONE, 512, 511);
	script_data(script, 1, 0, 2, disk + 2, 98);
	script_data(script, 1, 0, 1, disk + 1, 1);
	script_none(script, 1);
	script_expect_disconnect(script);
	fixture_go(fixture, NULL);
	assert_int_equal(pread_disk(fixture, 0, 2UL * BLOCK), 0);
	assert_memory_equal(buffer, disk, 2UL * BLOCK);
	assert_int_equal(buffer[2 * BLOCK], 0xee);
	fixture_finish(fixture);
}

/* As many pieces as possible, every other one first. */
static void rule_41_many_small_chunks_are_put_together(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	begin(fixture, SCRIPT_EXTENDED);
	script_expect_request(script, NBD_CMD_READ, 0, 0, 160);
	for (unsigned int i = 1; i < 80; i += 2)
		script_hole(script, 1, 0, 2ULL * i, 2);
	for (unsigned int i = 0; i < 80; i += 2)
		script_hole(script, 1, 0, 2ULL * i, 2);
	script_none(script, 1);
	script_expect_disconnect(script);
	fixture_go(fixture, NULL);
	assert_int_equal(pread_disk(fixture, 0, 160), 0);
	memset(disk, 0, 160);
	assert_memory_equal(buffer, disk, 160);
	fixture_finish(fixture);
}

/* With DF one content chunk is all, but an end or an error may follow it. */
static void rule_35_df_allows_one_content_chunk_and_an_end(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	begin(fixture, SCRIPT_STRUCTURED);
	script_expect_request(script, NBD_CMD_READ, NBD_CMD_FLAG_DF, 0, 16);
	script_data(script, 1, 0, 0, disk, 16);
	script_none(script, 1);
	script_expect_request(script, NBD_CMD_READ, NBD_CMD_FLAG_DF, 0, 16);
	script_error(script, 2, DONE, NBD_EOVERFLOW, "too long");
	script_expect_request(script, NBD_CMD_READ, NBD_CMD_FLAG_DF, 0, 16);
	script_hole(script, 3, DONE, 0, 16);
	script_expect_disconnect(script);
	fixture_go(fixture, NULL);
	assert_int_equal(nbdt_client_pread(fixture->client, buffer, 16, 0, NBDT_CMD_FLAG_DF,
				 &fixture->err),
		0);
	assert_memory_equal(buffer, disk, 16);
	assert_int_equal(nbdt_client_pread(fixture->client, buffer, 16, 0, NBDT_CMD_FLAG_DF,
				 &fixture->err),
		-EOVERFLOW);
	assert_int_equal(nbdt_client_pread(fixture->client, buffer, 16, 0, NBDT_CMD_FLAG_DF,
				 &fixture->err),
		0);
	fixture_finish(fixture);
}

/* Each is an error with words; the connection goes on after it. */
static void rule_41_error_chunks_of_every_kind_fail_the_request_alone(void **state)
{
	struct fixture *fixture = *state;
	struct script *script = fixture->script;

	begin(fixture, SCRIPT_STRUCTURED);
	for (int i = 0; i < 5; i++) {
		uint64_t cookie = script_expect_request(script, NBD_CMD_READ, 0, 0, 16);

		switch (i) {
		case 0: /* after all of the data */
			script_data(script, cookie, 0, 0, disk, 16);
			script_error(script, cookie, DONE, NBD_EIO, "bad\n\033[1msector");
			break;
		case 1: /* between pieces of data, one of them failed */
			script_data(script, cookie, 0, 0, disk, 8);
			script_error_offset(script, cookie, 0, NBD_EIO, "bad??[1msector", 4);
			script_data(script, cookie, 0, 8, disk, 8);
			script_none(script, cookie);
			break;
		case 2: /* several */
			script_error_offset(script, cookie, 0, NBD_EIO, "bad??[1msector", 4);
			script_error_offset(script, cookie, 0, NBD_EIO, "", 4);
			script_error(script, cookie, DONE, NBD_ENOSPC, "");
			break;
		case 3: /* of an unknown kind, with more behind the text */
			script_chunk_header(script, cookie, DONE, 0xffff, 6 + 14 + 30);
			script_add(script, SCRIPT_SEND, "\0\0\0\5\0\x0e" "bad??[1msector", 20);
			script_add(script, SCRIPT_SEND, disk, 30);
			break;
		default: /* flags that are unknown */
			script_error(script, cookie, 0xffff, NBD_EIO, "bad??[1msector");
		}
	}
	uint64_t cookie = script_expect_request(script, NBD_CMD_READ, 0, 0, 16);
	script_data(script, cookie, 0xffff, 0, disk, 16);
	script_expect_disconnect(script);
	fixture_go(fixture, NULL);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(pread_disk(fixture, 0, 16), -EIO);
		assert_non_null(strstr(fixture->err.text, "Input/output error: bad??[1msector"));
	}
	assert_int_equal(pread_disk(fixture, 0, 16), 0);
	assert_memory_equal(buffer, disk, 16);
	fixture_finish(fixture);
}

/* It has no range in which an error could be. */
static void error_with_an_offset_fails_a_flush(void **state)
{
	struct fixture *fixture = *state;

	begin(fixture, SCRIPT_EXTENDED);
	script_expect_request(fixture->script, NBD_CMD_FLUSH, 0, 0, 0);
	script_error_offset(fixture->script, 1, DONE, NBD_EIO, "where?", 12345);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	assert_int_equal(nbdt_client_flush(fixture->client, &fixture->err), -EIO);
	assert_non_null(strstr(fixture->err.text, "where?"));
	fixture_finish(fixture);
}

static void simple_error_answers_what_is_no_read(void **state)
{
	struct fixture *fixture = *state;

	begin(fixture, SCRIPT_STRUCTURED);
	script_expect_request(fixture->script, NBD_CMD_TRIM, 0, 0, 512);
	script_simple_reply(fixture->script, 1, NBD_EPERM);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	assert_int_equal(nbdt_client_trim(fixture->client, 0, 512, 0, &fixture->err), -EPERM);
	fixture_finish(fixture);
}

/* The timeout is for each reply: ten that take 200 ms each are fine with 2 s. */
static void slow_server_has_the_timeout_for_each_reply(void **state)
{
	struct fixture *fixture = *state;

	begin(fixture, SCRIPT_SIMPLE);
	for (uint64_t i = 0; i < 11; i++)
		script_expect_request(fixture->script, NBD_CMD_READ, 0, i * BLOCK, BLOCK);
	for (uint64_t i = 0; i < 11; i++) {
		script_add(fixture->script, SCRIPT_PAUSE, NULL, 0);
		script_answer_read(fixture->script, i + 1, i * BLOCK, disk, BLOCK);
	}
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	assert_int_equal(pread_disk(fixture, 0, 11UL * BLOCK), 0);
	fixture_finish(fixture);
}

/* Nothing of an operation counts for the next one. */
static void failure_does_not_excuse_the_next_request(void **state)
{
	struct fixture *fixture = *state;

	begin(fixture, SCRIPT_STRUCTURED);
	script_expect_request(fixture->script, NBD_CMD_READ, 0, 0, 16);
	script_error(fixture->script, 1, DONE, NBD_EIO, "");
	script_expect_request(fixture->script, NBD_CMD_READ, 0, 0, 16);
	script_none(fixture->script, 2);
	fixture_go(fixture, NULL);
	assert_int_equal(pread_disk(fixture, 0, 16), -EIO);
	assert_int_equal(pread_disk(fixture, 0, 16), -EPROTO);
	fixture_finish(fixture);
}

/* Time that passed before it is not an operation's. */
static void each_operation_has_its_own_time(void **state)
{
	const struct timespec pause = { .tv_nsec = 600 * 1000 * 1000 };
	struct fixture *fixture = *state;

	script_go(fixture->script, SIZE, FIXTURE_ALL_FLAGS);
	script_expect_request(fixture->script, NBD_CMD_FLUSH, 0, 0, 0);
	script_answer(fixture->script, 1, 0);
	script_expect_disconnect(fixture->script);
	fixture_start_within(fixture, 500);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "disk"), 0);
	nanosleep(&pause, NULL);
	assert_int_equal(nbdt_client_flush(fixture->client, &fixture->err), 0);
	fixture_finish(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_39_replies_come_in_any_order),
		cmocka_unit_test(sixteen_requests_are_in_flight),
		cmocka_unit_test(rule_31_every_piece_of_a_write_has_fua),
		cmocka_unit_test(rule_38_errors_of_the_wire_become_those_of_the_system),
		cmocka_unit_test(first_error_is_told_and_the_rest_is_awaited),
		TEST(rule_41_chunks_come_in_any_order),
		TEST(rule_41_many_small_chunks_are_put_together),
		TEST(rule_35_df_allows_one_content_chunk_and_an_end),
		TEST(rule_41_error_chunks_of_every_kind_fail_the_request_alone),
		TEST(error_with_an_offset_fails_a_flush),
		TEST(simple_error_answers_what_is_no_read),
		TEST(slow_server_has_the_timeout_for_each_reply),
		TEST(failure_does_not_excuse_the_next_request),
		TEST(each_operation_has_its_own_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
