/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nbd-protocol.h"
#include "wire.h"

static void integers_are_stored_big_endian(void **state)
{
	static const unsigned char bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	unsigned char at[8];

	(void)state;
	wire_put16(at, 0x0102);
	assert_memory_equal(at, bytes, 2);
	wire_put32(at, 0x01020304);
	assert_memory_equal(at, bytes, 4);
	wire_put64(at, UINT64_C(0x0102030405060708));
	assert_memory_equal(at, bytes, 8);
}

static void integers_are_read_big_endian(void **state)
{
	static const unsigned char bytes[] = { 0xf1, 2, 3, 4, 5, 6, 7, 8 };

	(void)state;
	assert_int_equal(wire_get16(bytes), 0xf102);
	assert_int_equal(wire_get32(bytes), 0xf1020304);
	assert_true(wire_get64(bytes) == UINT64_C(0xf102030405060708));
}

/* UBSan sees an access that assumes alignment. */
static void integers_may_be_at_any_address(void **state)
{
	unsigned char bytes[16];

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		wire_put16(bytes + i, 0xfffe);
		assert_int_equal(wire_get16(bytes + i), 0xfffe);
		wire_put32(bytes + i, 0xfffefdfc);
		assert_int_equal(wire_get32(bytes + i), 0xfffefdfc);
		wire_put64(bytes + i, UINT64_MAX - i);
		assert_true(wire_get64(bytes + i) == UINT64_MAX - i);
	}
}

/* Sizes as the specification draws the messages. */
static void messages_have_the_sizes_of_the_specification(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct nbd_option_header), 16);
	assert_int_equal(sizeof(struct nbd_option_reply_header), 20);
	assert_int_equal(sizeof(struct nbd_export_name_reply), 134);
	assert_int_equal(sizeof(struct nbd_request_header), 28);
	assert_int_equal(sizeof(struct nbd_simple_reply_header), 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_stored_big_endian),
		cmocka_unit_test(integers_are_read_big_endian),
		cmocka_unit_test(integers_may_be_at_any_address),
		cmocka_unit_test(messages_have_the_sizes_of_the_specification),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
