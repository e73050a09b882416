/* SPDX-License-Identifier: Apache-2.0 */
/* What the client sends in the transmission phase, and what it refuses to send. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"

#define KIB 1024u
#define MIB (1024u * 1024)
#define SIZE (64u * MIB)

static void check_refused(struct fixture *fixture, enum command command, uint64_t offset,
	uint64_t length, unsigned int flags, int code)
{
	fixture->err.code = 0;
	if (fixture_issue(fixture, command, offset, length, flags) != code
		|| fixture->err.code != code)
		fail_msg("command %d: %d, %s", command, fixture->err.code, fixture->err.text);
}

static void rule_29_only_what_is_announced_is_sent(void **state)
{
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_STRUCTURED);
	script_go(fixture->script, SIZE, NBD_FLAG_HAS_FLAGS);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	check_refused(fixture, FLUSH, 0, 0, 0, -EOPNOTSUPP);
	check_refused(fixture, TRIM, 0, 512, 0, -EOPNOTSUPP);
	check_refused(fixture, ZERO, 0, 512, 0, -EOPNOTSUPP);
	check_refused(fixture, CACHE, 0, 512, 0, -EOPNOTSUPP);
	check_refused(fixture, PREAD, 0, 512, NBDT_CMD_FLAG_DF, -EOPNOTSUPP);
	check_refused(fixture, PWRITE, 0, 512, NBDT_CMD_FLAG_FUA, -EOPNOTSUPP);
	check_refused(fixture, STATUS, 0, 512, 0, -EINVAL);
	fixture_finish(fixture);
}

static void rule_34_fast_zero_is_sent_only_where_announced(void **state)
{
	struct fixture *fixture = *state;

	script_go(fixture->script, SIZE, FIXTURE_ALL_FLAGS & ~NBD_FLAG_SEND_FAST_ZERO);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	check_refused(fixture, ZERO, 0, 512, NBDT_CMD_FLAG_FAST_ZERO, -EOPNOTSUPP);
	fixture_finish(fixture);
}

static void rule_36_flags_go_only_with_their_commands(void **state)
{
	static const unsigned int allowed[] = {
		[PREAD] = NBDT_CMD_FLAG_DF,
		[PWRITE] = NBDT_CMD_FLAG_FUA,
		[TRIM] = NBDT_CMD_FLAG_FUA,
		[ZERO] = NBDT_CMD_FLAG_FUA | NBDT_CMD_FLAG_NO_HOLE | NBDT_CMD_FLAG_FAST_ZERO,
		[STATUS] = NBDT_CMD_FLAG_REQ_ONE,
	};
	static const enum command commands[] = { PREAD, PWRITE, TRIM, ZERO, STATUS };
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_STRUCTURED);
	script_go(fixture->script, SIZE, FIXTURE_ALL_FLAGS);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		for (unsigned int bit = 0; bit < 32; bit++)
			if (!(allowed[commands[i]] & 1u << bit))
				check_refused(fixture, commands[i], 0, 512, 1u << bit, -EINVAL);
	fixture_finish(fixture);
}

static void rule_30_nothing_is_written_to_a_read_only_export(void **state)
{
	struct fixture *fixture = *state;

	/* A server that offers no TRIM for it makes no difference. */
	script_go(fixture->script, SIZE,
		(FIXTURE_ALL_FLAGS | NBD_FLAG_READ_ONLY) & ~NBD_FLAG_SEND_TRIM);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	check_refused(fixture, PWRITE, 0, 512, 0, -EPERM);
	check_refused(fixture, TRIM, 0, 512, 0, -EPERM);
	check_refused(fixture, ZERO, 0, 512, 0, -EPERM);
	fixture_finish(fixture);
}

static void rule_37_nothing_is_asked_outside_the_export(void **state)
{
	static const struct {
		uint64_t offset, length;
	} outside[] = { { SIZE, 1 }, { SIZE - 1, 2 }, { 0, SIZE + 1 }, { SIZE + 1, 0 },
		{ UINT64_MAX, 1 }, { UINT64_MAX - 511, 512 }, { 512, SIZE_MAX } };
	struct fixture *fixture = *state;

	script_go(fixture->script, SIZE, FIXTURE_ALL_FLAGS);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		check_refused(fixture, PREAD, outside[i].offset, outside[i].length, 0, -EINVAL);
		check_refused(fixture, PWRITE, outside[i].offset, outside[i].length, 0, -EINVAL);
		check_refused(fixture, TRIM, outside[i].offset, outside[i].length, 0, -EINVAL);
		check_refused(fixture, CACHE, outside[i].offset, outside[i].length, 0, -EINVAL);
		check_refused(fixture, STATUS, outside[i].offset, outside[i].length, 0, -EINVAL);
	}
	fixture_finish(fixture);
}

static void nothing_is_sent_for_no_bytes(void **state)
{
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_STRUCTURED);
	script_select(fixture->script, "base:allocation", 1);
	script_go(fixture->script, SIZE, FIXTURE_ALL_FLAGS);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, "base:allocation");
	for (enum command command = PREAD; command <= STATUS; command++)
		if (command != FLUSH)
			assert_int_equal(fixture_issue(fixture, command, SIZE, 0, 0), 0);
	fixture_finish(fixture);
}

static void nothing_is_sent_before_an_export_is_chosen(void **state)
{
	struct fixture *fixture = *state;

	script_expect_abort(fixture->script);
	fixture_start(fixture);
	for (enum command command = PREAD; command <= STATUS; command++)
		check_refused(fixture, command, 0, 512, 0, -EINVAL);
	fixture_finish(fixture);
}

/* Its connection is in the transmission phase from the beginning, but of nothing checked. */
static void rule_2_oldstyle_export_is_used_once_it_is_chosen(void **state)
{
	struct fixture *fixture = *state;

	script_oldstyle(fixture->script, SIZE, FIXTURE_FLAGS);
	uint64_t cookie = script_expect_request(fixture->script, NBD_CMD_FLUSH, 0, 0, 0);
	script_answer(fixture->script, cookie, 0);
	script_expect_disconnect(fixture->script);
	fixture_start(fixture);
	check_refused(fixture, FLUSH, 0, 0, 0, -EINVAL);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, ""), 0);
	assert_int_equal(fixture_issue(fixture, FLUSH, 0, 0, 0), 0);
	fixture_finish(fixture);
}

static void rule_25_block_sizes_that_were_asked_for_are_obeyed(void **state)
{
	struct fixture *fixture = *state;

	script_go_with_blocks(fixture->script, SIZE, FIXTURE_ALL_FLAGS, 4096, 4096, MIB);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	for (enum command command = PREAD; command <= STATUS; command++) {
		if (command == FLUSH)
			continue;
		check_refused(fixture, command, 0, 512, 0, -EINVAL);
		check_refused(fixture, command, 512, 4096, 0, -EINVAL);
		assert_non_null(strstr(fixture->err.text, "blocks of 4096 bytes"));
	}
	fixture_finish(fixture);
}

/* The lengths that WRITE or READ of LENGTH bytes at OFFSET is cut into. */
static void check_cuts(struct fixture *fixture, uint64_t offset, uint64_t length,
	unsigned int flags, const uint32_t *cuts, size_t count)
{
	static unsigned char data[4 * MIB];
	uint64_t cookies[16];

	for (size_t i = 0; i < count; i++) {
		cookies[i] = script_expect_request(
			fixture->script, NBD_CMD_READ, (uint16_t)flags, offset, cuts[i]);
		offset += cuts[i];
	}
	for (size_t i = 0; i < count; i++)
		script_hole(fixture->script, cookies[i], NBD_REPLY_FLAG_DONE,
			fixture->script->offsets[cookies[i] - 1], cuts[i]);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	assert_int_equal(nbdt_client_pread(fixture->client, data, length, offset - length, flags,
				 &fixture->err),
		0);
	fixture_finish(fixture);
}

static void rule_27_reads_are_cut_at_aligned_places(void **state)
{
	static const uint32_t cuts[] = { 256 * KIB - 512, 256 * KIB, 256 * KIB, 1024 };
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_STRUCTURED);
	script_go(fixture->script, SIZE, FIXTURE_ALL_FLAGS);
	check_cuts(fixture, 512, 768 * KIB + 512, 0, cuts, 4);
}

static void rule_25_reads_keep_to_the_maximum_in_whole_preferred_blocks(void **state)
{
	static const uint32_t cuts[] = { 3584, 8192, 8192, 512 };
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_STRUCTURED);
	script_go_with_blocks(fixture->script, SIZE, FIXTURE_ALL_FLAGS, 512, 4096, 12000);
	check_cuts(fixture, 4608, 20480, 0, cuts, 4);
}

static void rule_25_preferred_blocks_larger_than_usual_are_not_cut(void **state)
{
	static const uint32_t cuts[] = { MIB, MIB };
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_STRUCTURED);
	script_go_with_blocks(fixture->script, SIZE, FIXTURE_ALL_FLAGS, 512, MIB, UINT32_MAX);
	check_cuts(fixture, 0, 2 * MIB, 0, cuts, 2);
}

/* A server must answer those of up to 64 KiB in one piece, but no longer ones. */
static void rule_35_df_reads_are_cut_at_64_kib(void **state)
{
	static const uint32_t cuts[] = { 64 * KIB, 64 * KIB, 512 };
	struct fixture *fixture = *state;

	script_agree(fixture->script, SCRIPT_STRUCTURED);
	script_go(fixture->script, SIZE, FIXTURE_ALL_FLAGS);
	check_cuts(fixture, 0, 128 * KIB + 512, NBD_CMD_FLAG_DF, cuts, 3);
}

/* No more than that is said to be 32 MiB whatever a server allows ("Size constraints"). */
static void rule_27_payload_is_at_most_32_mib(void **state)
{
	struct fixture *fixture = *state;
	static unsigned char data[SIZE];

	script_agree(fixture->script, SCRIPT_STRUCTURED);
	script_go_with_blocks(fixture->script, SIZE, FIXTURE_ALL_FLAGS, 1, 64 * MIB, UINT32_MAX);
	for (uint64_t i = 0; i < 2; i++)
		script_expect_request(
			fixture->script, NBD_CMD_READ, 0, i * NBDT_MAX_PAYLOAD, NBDT_MAX_PAYLOAD);
	for (uint64_t i = 0; i < 2; i++)
		script_hole(fixture->script, i + 1, NBD_REPLY_FLAG_DONE, i * NBDT_MAX_PAYLOAD,
			NBDT_MAX_PAYLOAD);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	assert_int_equal(nbdt_client_pread(fixture->client, data, SIZE, 0, 0, NULL), 0);
	fixture_finish(fixture);
}

/* A compact header has 32 bits; the maximum does not count for what has no payload. */
static void rule_27_long_trims_are_cut_at_1_gib(void **state)
{
	const uint64_t gib = UINT64_C(1) << 30;
	struct fixture *fixture = *state;

	script_go_with_blocks(
		fixture->script, 5 * gib, FIXTURE_ALL_FLAGS, 512, 4096, 65536);
	script_expect_request(fixture->script, NBD_CMD_TRIM, 0, 512, gib - 512);
	script_expect_request(fixture->script, NBD_CMD_TRIM, 0, gib, gib);
	script_expect_request(fixture->script, NBD_CMD_TRIM, 0, 2 * gib, gib);
	for (uint64_t cookie = 3; cookie; cookie--)
		script_answer(fixture->script, cookie, 0);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	assert_int_equal(fixture_issue(fixture, TRIM, 512, 3 * gib - 512, 0), 0);
	fixture_finish(fixture);
}

static void rule_32_flush_has_no_range(void **state)
{
	struct fixture *fixture = *state;

	script_go_with_blocks(fixture->script, SIZE, FIXTURE_ALL_FLAGS, 4096, 4096, SIZE);
	uint64_t cookie = script_expect_request(fixture->script, NBD_CMD_FLUSH, 0, 0, 0);
	script_answer(fixture->script, cookie, 0);
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	assert_int_equal(fixture_issue(fixture, FLUSH, 0, 0, 0), 0);
	fixture_finish(fixture);
}

static void rule_42_no_request_follows_a_shutdown(void **state)
{
	struct fixture *fixture = *state;

	script_go(fixture->script, SIZE, FIXTURE_ALL_FLAGS);
	script_expect_request(fixture->script, NBD_CMD_FLUSH, 0, 0, 0);
	script_answer(fixture->script, 1, NBD_ESHUTDOWN);
	/* "If the client receives an NBD_ESHUTDOWN error it MUST initiate a soft disconnect." */
	script_expect_disconnect(fixture->script);
	fixture_go(fixture, NULL);
	check_refused(fixture, FLUSH, 0, 0, 0, -ESHUTDOWN);
	assert_non_null(strstr(fixture->err.text, "is shutting down"));
	check_refused(fixture, FLUSH, 0, 0, 0, -EINVAL);
	assert_non_null(strstr(fixture->err.text, "cannot be used any more"));
	fixture_finish(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rule_29_only_what_is_announced_is_sent),
		TEST(rule_34_fast_zero_is_sent_only_where_announced),
		TEST(rule_36_flags_go_only_with_their_commands),
		TEST(rule_30_nothing_is_written_to_a_read_only_export),
		TEST(rule_37_nothing_is_asked_outside_the_export),
		TEST(nothing_is_sent_for_no_bytes),
		TEST(nothing_is_sent_before_an_export_is_chosen),
		cmocka_unit_test_setup_teardown(rule_2_oldstyle_export_is_used_once_it_is_chosen,
			fixture_set_up_empty, fixture_tear_down),
		TEST(rule_25_block_sizes_that_were_asked_for_are_obeyed),
		TEST(rule_27_reads_are_cut_at_aligned_places),
		TEST(rule_25_reads_keep_to_the_maximum_in_whole_preferred_blocks),
		TEST(rule_25_preferred_blocks_larger_than_usual_are_not_cut),
		TEST(rule_35_df_reads_are_cut_at_64_kib),
		TEST(rule_27_payload_is_at_most_32_mib),
		TEST(rule_27_long_trims_are_cut_at_1_gib),
		TEST(rule_32_flush_has_no_range),
		TEST(rule_42_no_request_follows_a_shutdown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
