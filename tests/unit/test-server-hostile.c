/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hostile clients do, each with simple replies, structured ones and extended headers, and over
 * TLS: nothing crashes or hangs, memory stays bounded, and the server serves others afterwards.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "scripted-chunks.h"
#include "tls-peer.h"
#include "tls-relay.h"
#include "wire.h"

/* Milliseconds for one attack; the handshake's limit in a server of these tests is less. */
#define TIME_LIMIT 8000
#define HANDSHAKE_LIMIT 1000
/* Bytes that an attack may cost: the buffers of a connection, and what the test itself needs. */
#define MEMORY_LIMIT ((size_t)100 * MIB)

struct attack {
	struct nbdt_server *server;
	unsigned int wishes;
	bool tls;
	size_t resident; /* bytes, before it */
};

static size_t resident_bytes(void)
{
	unsigned long total, resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &total, &resident), 2);
	fclose(file);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

/* Sends until the server takes no more: it may hang up in the middle. */
static void send_what_goes(int fd, const void *data, size_t length)
{
	const unsigned char *at = data;

	while (length) {
		ssize_t sent = send(fd, at, length, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent <= 0)
			return;
		at += sent;
		length -= (size_t)sent;
	}
}

static void open_talk(const struct attack *attack, struct talk *talk)
{
	talk_open(talk, attack->server, attack->wishes);
}

/* The error of a reply without content, in whatever form it comes. */
static uint32_t take_error(struct talk *talk)
{
	static struct chunk chunk;
	uint64_t cookie;

	if (!talk->extended && !(talk->flags & NBD_FLAG_SEND_DF))
		return receive_any_reply(talk->fd, &cookie);
	talk_receive(talk, &chunk);
	return chunk.type == NBD_REPLY_TYPE_NONE ? 0 : wire_get32(chunk.payload);
}

static uint16_t write_flags(const struct talk *talk)
{
	return talk->extended ? NBD_CMD_FLAG_PAYLOAD_LEN : 0;
}

/* Attacks */

static void flood_of_options(const struct attack *attack)
{
	static const uint32_t options[] = { NBD_OPT_LIST, NBD_OPT_INFO, NBD_OPT_STRUCTURED_REPLY,
		NBD_OPT_LIST_META_CONTEXT, 4711 };
	struct nbd_option_header header;
	struct talk talk;
	char reply[4096];

	talk_begin(&talk, attack->server);
	wire_put64(&header.magic, NBD_OPTS_MAGIC);
	wire_put32(&header.length, 0);
	for (unsigned int i = 0; i < 20000; i++) {
		wire_put32(&header.option, options[i % 5]);
		if (send(talk.fd, &header, sizeof(header), MSG_NOSIGNAL) < 0)
			break;
		while (recv(talk.fd, reply, sizeof(reply), MSG_DONTWAIT) > 0)
			;
	}
	/* Too many, or too slow: both have a limit. */
	int result = talk_close(&talk);
	assert_true(result == -EPROTO || result == -ETIMEDOUT);
}

/* Nothing of the replies is read. */
static void flood_of_unread_options(const struct attack *attack)
{
	struct nbd_option_header header;
	struct talk talk;

	talk_begin(&talk, attack->server);
	wire_put64(&header.magic, NBD_OPTS_MAGIC);
	wire_put32(&header.option, NBD_OPT_LIST);
	wire_put32(&header.length, 0);
	while (!atomic_load(&talk.session.ended)) {
		send_what_goes(talk.fd, &header, sizeof(header));
		pause_briefly();
	}
	int result = talk_close(&talk);
	assert_true(result == -ETIMEDOUT || result == -EPROTO);
}

static void hundreds_of_silent_connections(const struct attack *attack)
{
	enum { COUNT = 300 };
	struct session *silent = calloc(COUNT, sizeof(*silent));
	struct talk talk;

	for (int i = 0; i < COUNT; i++)
		session_open(&silent[i], attack->server, NULL);
	open_talk(attack, &talk);
	talk_request(&talk, 0, NBD_CMD_FLUSH, 1, 0, 0);
	assert_int_equal(take_error(&talk), 0);
	assert_int_equal(talk_close(&talk), 0);
	for (int i = 0; i < COUNT; i++) {
		/* Each is dropped when its time is up. */
		char greeting[18];
		receive_bytes(silent[i].fd, greeting, sizeof(greeting));
		assert_true(at_end(silent[i].fd));
		assert_int_equal(session_join(&silent[i]), -ETIMEDOUT);
	}
	free(silent);
}

static void bad_magics(const struct attack *attack)
{
	static const unsigned char junk[64] = { 0xff, 0xff, 0xff, 0xff, 1 };
	struct talk talk;

	talk_begin(&talk, attack->server);
	send_what_goes(talk.fd, junk, sizeof(junk));
	assert_true(at_end(talk.fd));
	assert_int_equal(talk_close(&talk), -EPROTO);
	open_talk(attack, &talk);
	send_what_goes(talk.fd, junk, sizeof(junk));
	assert_true(at_end(talk.fd));
	assert_int_equal(talk_close(&talk), -EPROTO);
}

static void bad_lengths_of_options(const struct attack *attack)
{
	static const uint32_t options[] = { NBD_OPT_EXPORT_NAME, NBD_OPT_ABORT, NBD_OPT_LIST,
		NBD_OPT_STARTTLS, NBD_OPT_INFO, NBD_OPT_GO, NBD_OPT_STRUCTURED_REPLY,
		NBD_OPT_LIST_META_CONTEXT, NBD_OPT_SET_META_CONTEXT, NBD_OPT_EXTENDED_HEADERS };
	static const uint32_t lengths[] = { 1, 3, 4097, 65536, 65537, 0x7fffffff, 0xffffffff };
	static const unsigned char data[256] = { 0xff, 0xff, 0xff, 0xff };
	struct nbd_option_header header;
	struct talk talk;

	for (size_t i = 0; i < 10; i++) {
		for (size_t j = 0; j < 7; j++) {
			talk_begin(&talk, attack->server);
			wire_put64(&header.magic, NBD_OPTS_MAGIC);
			wire_put32(&header.option, options[i]);
			wire_put32(&header.length, lengths[j]);
			send_what_goes(talk.fd, &header, sizeof(header));
			send_what_goes(talk.fd, data, sizeof(data));
			talk_close(&talk);
		}
	}
}

static void offsets_near_the_end_of_numbers(const struct attack *attack)
{
	static const uint64_t offsets[] = { MEMORY_SIZE, UINT32_MAX, INT64_MAX, UINT64_MAX - 511,
		UINT64_MAX };
	static const uint16_t types[] = { NBD_CMD_READ, NBD_CMD_TRIM, NBD_CMD_CACHE,
		NBD_CMD_WRITE_ZEROES, NBD_CMD_BLOCK_STATUS };
	struct talk talk;

	open_talk(attack, &talk);
	for (size_t i = 0; i < 25; i++) {
		talk_request(&talk, 0, types[i / 5], i, offsets[i % 5], 512);
		uint32_t error = take_error(&talk);
		assert_true(error == NBD_EINVAL || error == NBD_ENOSPC);
		talk_request(&talk, 0, types[i / 5], i, offsets[i % 5],
			talk.extended ? UINT64_MAX : UINT32_MAX);
		error = take_error(&talk);
		assert_true(error == NBD_EINVAL || error == NBD_ENOSPC || error == NBD_EOVERFLOW);
	}
	assert_int_equal(talk_close(&talk), 0);
}

static void sixteen_times_64_mib_unread(const struct attack *attack)
{
	static const uint64_t lengths[] = { 64 * MIB, 32 * MIB };
	struct talk talk;

	talk_begin(&talk, attack->server);
	for (unsigned int option = NBD_OPT_STRUCTURED_REPLY; option <= NBD_OPT_EXTENDED_HEADERS;
		option += 3) {
		if (attack->wishes & (option == NBD_OPT_EXTENDED_HEADERS ? TALK_EXTENDED
									: TALK_STRUCTURED))
			assert_int_equal(talk_try(&talk, option, NULL, 0), NBD_REP_ACK);
	}
	assert_int_equal(talk_go(&talk, "big", false), NBD_REP_ACK);
	for (unsigned int i = 0; i < 32; i++)
		talk_request(&talk, 0, NBD_CMD_READ, i, 0, lengths[i / 16]);
	for (int i = 0; i < 20; i++)
		pause_briefly();
	assert_false(atomic_load(&talk.session.ended));
	/* The caller looks again, but now it is at its worst. */
	assert_true(resident_bytes() < attack->resident + MEMORY_LIMIT);
	assert_int_equal(talk_close(&talk), -ECONNRESET);
}

static void death_inside_a_payload(const struct attack *attack)
{
	static const unsigned char data[5000];
	struct talk talk;

	for (size_t length = 0; length < sizeof(data); length += 499) {
		open_talk(attack, &talk);
		talk_request(&talk, write_flags(&talk), NBD_CMD_WRITE, 1, 0, sizeof(data));
		send_bytes(talk.fd, data, length);
		assert_int_equal(talk_close(&talk), -ECONNRESET);
	}
}

static void half_closed_connections(const struct attack *attack)
{
	struct talk talk;

	open_talk(attack, &talk);
	talk_request(&talk, 0, NBD_CMD_TRIM, 1, 0, 512);
	shutdown(talk.fd, SHUT_WR);
	assert_int_equal(take_error(&talk), 0);
	assert_true(at_end(talk.fd));
	assert_int_equal(talk_close(&talk), 0);
	/* What lies between cannot know. */
	if (attack->tls)
		return;
	open_talk(attack, &talk);
	shutdown(talk.fd, SHUT_RD);
	talk_request(&talk, 0, NBD_CMD_READ, 1, 0, 4096);
	assert_int_equal(talk_close(&talk), -ECONNRESET);
}

static void rejected_writes(const struct attack *attack)
{
	enum { SIZE = 300000 };
	unsigned char *data = calloc(1, SIZE);
	struct talk talk;

	open_talk(attack, &talk);
	for (unsigned int i = 0; i < 40; i++) {
		size_t length = SIZE >> (i % 10);

		talk_request(&talk, write_flags(&talk), NBD_CMD_WRITE, i, UINT64_MAX - i, length);
		send_bytes(talk.fd, data, length);
	}
	for (unsigned int i = 0; i < 40; i++)
		assert_int_equal(take_error(&talk), NBD_ENOSPC);
	assert_int_equal(talk_close(&talk), 0);
	free(data);
}

static void what_was_never_announced(const struct attack *attack)
{
	struct talk talk;

	open_talk(attack, &talk);
	for (uint16_t type = 8; type; type = (uint16_t)(type * 2)) {
		talk_request(&talk, 0, type, 1, 0, 512);
		assert_int_equal(take_error(&talk), NBD_EINVAL);
	}
	for (uint16_t flag = 1 << 6; flag; flag = (uint16_t)(flag * 2)) {
		for (uint16_t type = NBD_CMD_FLUSH; type <= NBD_CMD_BLOCK_STATUS; type++) {
			talk_request(&talk, flag, type, 1, 0, 0);
			assert_int_equal(take_error(&talk), NBD_EINVAL);
		}
	}
	assert_int_equal(talk_close(&talk), 0);
}

/* Requests in one piece, at offset 0, as either header has them. Returns bytes. */
static size_t fill_batch(unsigned char *batch, const struct talk *talk, uint16_t type, size_t count)
{
	size_t size = talk->extended ? sizeof(struct nbd_extended_request_header)
				     : sizeof(struct nbd_request_header);

	memset(batch, 0, count * size);
	for (size_t i = 0; i < count; i++) {
		unsigned char *at = batch + i * size;

		wire_put32(at, talk->extended ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC);
		wire_put16(at + 6, type);
		wire_put64(at + 8, i);
		wire_put32(at + size - 4, 512);
	}
	return count * size;
}

static void hundreds_of_pipelined_requests(const struct attack *attack)
{
	enum { COUNT = 3000 };
	unsigned char *batch = malloc(COUNT * sizeof(struct nbd_extended_request_header));
	struct talk talk;

	open_talk(attack, &talk);
	send_bytes(talk.fd, batch, fill_batch(batch, &talk, NBD_CMD_TRIM, COUNT));
	for (unsigned int i = 0; i < COUNT; i++)
		assert_int_equal(take_error(&talk), 0);
	/* And once more, with none of the replies read. */
	for (int i = 0; i < 20; i++)
		send_what_goes(talk.fd, batch, fill_batch(batch, &talk, NBD_CMD_READ, COUNT));
	pause_briefly();
	assert_int_equal(talk_close(&talk), -ECONNRESET);
	free(batch);
}

static void noise(const struct attack *attack)
{
	unsigned char data[512];
	uint32_t seed = 4711;
	struct talk talk;

	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < sizeof(data); i++) {
			seed = seed * 1664525 + 1013904223;
			data[i] = (unsigned char)(seed >> 24);
		}
		open_talk(attack, &talk);
		wire_put32(data, talk.extended ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC);
		data[6] = 0;
		data[7] %= 9;
		send_what_goes(talk.fd, data, sizeof(data));
		talk_close(&talk);
	}
}

static const struct {
	const char *name;
	void (*run)(const struct attack *attack);
} attacks[] = {
	{ "flood of options", flood_of_options },
	{ "flood of options whose replies nobody reads", flood_of_unread_options },
	{ "hundreds of silent connections", hundreds_of_silent_connections },
	{ "bad magics", bad_magics },
	{ "bad lengths of options", bad_lengths_of_options },
	{ "offsets near the end of numbers", offsets_near_the_end_of_numbers },
	{ "sixteen times 64 MiB, unread", sixteen_times_64_mib_unread },
	{ "death inside a payload", death_inside_a_payload },
	{ "half-closed connections", half_closed_connections },
	{ "rejected writes", rejected_writes },
	{ "what was never announced", what_was_never_announced },
	{ "hundreds of pipelined requests", hundreds_of_pipelined_requests },
	{ "noise", noise },
};

static void check_server_is_alive(struct nbdt_server *server)
{
	struct session session;

	session_open(&session, server, "disk");
	assert_true(in_step(session.fd));
	assert_int_equal(session_join(&session), 0);
}

static void survive_attacks(unsigned int wishes, bool tls)
{
	const struct nbdt_tls_options key = { .psk_file = tls_file("keys.psk") };
	const struct nbdt_server_options options = {
		.handshake_timeout = HANDSHAKE_LIMIT,
		.tls = tls ? NBDT_TLS_REQUIRE : NBDT_TLS_OFF,
		.tls_options = &key,
	};
	struct attack attack = { .wishes = wishes, .tls = tls };
	struct memory_device disk, big;

	session_filter(tls ? tls_relay : NULL);
	memory_device_init(&disk, MEMORY_SIZE);
	memory_device_init(&big, 64 * MIB);
	memset(big.bytes, 'b', big.size);
	assert_int_equal(nbdt_server_new(&options, &attack.server, NULL), 0);
	nbdt_server_add_export(attack.server, "disk", NULL, &disk.device, NULL);
	nbdt_server_add_export(attack.server, "big", NULL, &big.device, NULL);
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		long long begin = now();

		attack.resident = resident_bytes();
		print_message("  %s\n", attacks[i].name);
		attacks[i].run(&attack);
		assert_in_range(now() - begin, 0, TIME_LIMIT);
		check_server_is_alive(attack.server);
		assert_true(resident_bytes() < attack.resident + MEMORY_LIMIT);
	}
	nbdt_server_free(attack.server);
	memory_device_destroy(&disk);
	memory_device_destroy(&big);
}

static void attacks_with_simple_replies(void **state)
{
	(void)state;
	survive_attacks(0, false);
}

static void attacks_with_structured_replies(void **state)
{
	(void)state;
	survive_attacks(TALK_STRUCTURED | TALK_ALLOCATION, false);
}

static void attacks_with_extended_headers(void **state)
{
	(void)state;
	survive_attacks(TALK_EXTENDED | TALK_ALLOCATION, false);
}

static void attacks_over_tls(void **state)
{
	(void)state;
	survive_attacks(0, true);
}

static void attacks_with_structured_replies_over_tls(void **state)
{
	(void)state;
	survive_attacks(TALK_STRUCTURED | TALK_ALLOCATION, true);
}

static void attacks_with_extended_headers_over_tls(void **state)
{
	(void)state;
	survive_attacks(TALK_EXTENDED | TALK_ALLOCATION, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attacks_with_simple_replies),
		cmocka_unit_test(attacks_with_structured_replies),
		cmocka_unit_test(attacks_with_extended_headers),
		cmocka_unit_test(attacks_over_tls),
		cmocka_unit_test(attacks_with_structured_replies_over_tls),
		cmocka_unit_test(attacks_with_extended_headers_over_tls),
	};

	return cmocka_run_group_tests(tests, tls_files_set_up, tls_files_tear_down);
}
