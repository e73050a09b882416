/* SPDX-License-Identifier: Apache-2.0 */
/* The server's STARTTLS, and serving over it ("Server-side requirements"). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "scripted-client.h"
#include "tls-peer.h"
#include "wire.h"

#define FIXED (NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES)
#define REPLY_HEADER sizeof(struct nbd_simple_reply_header)

struct fixture {
	struct memory_device memory;
	struct nbdt_server_options options;
	struct nbdt_tls_options tls;
	struct nbdt_server *server;
	struct session session;
	int fd;
	struct tls_peer peer; /* our side, a client */
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	memory_device_init(&fixture->memory, MEMORY_SIZE);
	fixture->options.tls = NBDT_TLS_REQUIRE;
	fixture->options.tls_options = &fixture->tls;
	fixture->tls.certificates = tls_file("good");
	fixture->peer.folder = "good";
	*state = fixture;
	return 0;
}

static void prepare_psk(struct fixture *fixture)
{
	fixture->tls.certificates = NULL;
	fixture->tls.psk_file = tls_file("keys.psk");
	fixture->peer.folder = NULL;
	fixture->peer.keys = "keys.psk";
	fixture->peer.user = "alice";
}

/* A server with the options of the fixture, and a client that has greeted it. */
static void start(struct fixture *fixture)
{
	struct nbdt_error err;

	if (nbdt_server_new(&fixture->options, &fixture->server, &err))
		fail_msg("%s", err.text);
	assert_int_equal(nbdt_server_add_export(fixture->server, "disk", NULL,
				 &fixture->memory.device, NULL),
		0);
	session_open(&fixture->session, fixture->server, NULL);
	fixture->fd = fixture->session.fd;
	greet(fixture->fd, FIXED);
}

static int end(struct fixture *fixture)
{
	int result = session_join(&fixture->session);

	nbdt_server_free(fixture->server);
	fixture->server = NULL;
	return result;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	if (fixture->server)
		end(fixture);
	memory_device_destroy(&fixture->memory);
	free(fixture);
	return 0;
}

static uint32_t ask_plainly(
	struct fixture *fixture, uint32_t option, const void *data, size_t length)
{
	char reply[4096];
	size_t reply_length;

	send_option(fixture->fd, option, data, length);
	return receive_option_reply(fixture->fd, option, reply, sizeof(reply), &reply_length);
}

static void start_tls(struct fixture *fixture)
{
	assert_int_equal(ask_plainly(fixture, NBD_OPT_STARTTLS, NULL, 0), NBD_REP_ACK);
	assert_int_equal(tls_peer_begin(&fixture->peer, fixture->fd), 0);
}

static void say(struct fixture *fixture, const void *bytes, size_t size)
{
	assert_true(tls_say(fixture->peer.session, bytes, size));
}

static void hear(struct fixture *fixture, void *bytes, size_t size)
{
	assert_true(tls_hear(fixture->peer.session, bytes, size));
}

/* The first reply's type, of an option over TLS; up to 64 bytes of its data go to REPLY. */
static uint32_t ask_for(struct fixture *fixture, uint32_t option, const void *data, size_t length,
	unsigned char *reply)
{
	struct nbd_option_header header;
	struct nbd_option_reply_header answer;
	unsigned char unwanted[64];

	wire_put64(&header.magic, NBD_OPTS_MAGIC);
	wire_put32(&header.option, option);
	wire_put32(&header.length, (uint32_t)length);
	say(fixture, &header, sizeof(header));
	say(fixture, data, length);
	hear(fixture, &answer, sizeof(answer));
	assert_int_equal(wire_get32(&answer.option), option);
	assert_in_range(wire_get32(&answer.length), 0, 64);
	hear(fixture, reply ? reply : unwanted, wire_get32(&answer.length));
	return wire_get32(&answer.reply);
}

/* INFO or GO for "disk" without further wishes. */
static const unsigned char disk_request[] = { 0, 0, 0, 4, 'd', 'i', 's', 'k', 0, 0 };

/* Returns the transmission flags. */
static uint16_t go(struct fixture *fixture)
{
	unsigned char info[64];
	struct nbd_option_reply_header ack;

	assert_int_equal(ask_for(fixture, NBD_OPT_GO, disk_request, sizeof(disk_request), info),
		NBD_REP_INFO);
	assert_int_equal(wire_get16(info), NBD_INFO_EXPORT);
	hear(fixture, &ack, sizeof(ack));
	assert_int_equal(wire_get32(&ack.reply), NBD_REP_ACK);
	return wire_get16(info + 10);
}

static void put_request(void *at, uint16_t type, uint64_t cookie, uint64_t offset, uint32_t length)
{
	struct nbd_request_header request = { 0 };

	wire_put32(&request.magic, NBD_REQUEST_MAGIC);
	wire_put16(&request.type, type);
	wire_put64(&request.cookie, cookie);
	wire_put64(&request.offset, offset);
	wire_put32(&request.length, length);
	memcpy(at, &request, sizeof(request));
}

static void say_request(
	struct fixture *fixture, uint16_t type, uint64_t cookie, uint64_t offset, uint32_t length)
{
	unsigned char request[sizeof(struct nbd_request_header)];

	put_request(request, type, cookie, offset, length);
	say(fixture, request, sizeof(request));
}

/* The error of the next reply, which must be a simple one with this cookie. */
static uint32_t hear_reply(struct fixture *fixture, uint64_t cookie)
{
	struct nbd_simple_reply_header reply;

	hear(fixture, &reply, sizeof(reply));
	assert_int_equal(wire_get32(&reply.magic), NBD_SIMPLE_REPLY_MAGIC);
	assert_int_equal(wire_get64(&reply.cookie), cookie);
	return wire_get32(&reply.error);
}

static void rule_17_without_tls_starttls_is_refused_and_nothing_demands_it(void **state)
{
	struct fixture *fixture = *state;

	fixture->options.tls = NBDT_TLS_OFF;
	start(fixture);
	assert_int_equal(ask_plainly(fixture, NBD_OPT_STARTTLS, NULL, 0), NBD_REP_ERR_UNSUP);
	assert_int_equal(ask_plainly(fixture, NBD_OPT_STARTTLS, "x", 1), NBD_REP_ERR_UNSUP);
	assert_int_equal(ask_plainly(fixture, NBD_OPT_STRUCTURED_REPLY, NULL, 0), NBD_REP_ACK);
	assert_int_equal(ask_plainly(fixture, NBD_OPT_INFO, disk_request, sizeof(disk_request)),
		NBD_REP_INFO);
}

static void rule_17_required_tls_is_demanded_by_all_but_starttls_and_abort(void **state)
{
	static const uint32_t options[] = { NBD_OPT_LIST, NBD_OPT_INFO, NBD_OPT_GO,
		NBD_OPT_STRUCTURED_REPLY, NBD_OPT_EXTENDED_HEADERS, NBD_OPT_LIST_META_CONTEXT,
		NBD_OPT_SET_META_CONTEXT, 0, 99, UINT32_MAX };
	struct fixture *fixture = *state;
	unsigned char *data = calloc(1, 100000);

	start(fixture);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		assert_int_equal(
			ask_plainly(fixture, options[i], NULL, 0), NBD_REP_ERR_TLS_REQD);
		assert_int_equal(ask_plainly(fixture, options[i], disk_request,
					 sizeof(disk_request)),
			NBD_REP_ERR_TLS_REQD);
		assert_int_equal(
			ask_plainly(fixture, options[i], data, 100000), NBD_REP_ERR_TLS_REQD);
	}
	free(data);
	start_tls(fixture);
	go(fixture);
	tls_peer_end(&fixture->peer);
}

static void rule_17_required_tls_lets_clients_abort(void **state)
{
	struct fixture *fixture = *state;

	start(fixture);
	assert_int_equal(ask_plainly(fixture, NBD_OPT_ABORT, NULL, 0), NBD_REP_ACK);
	assert_int_equal(end(fixture), 0);
}

static void rule_17_required_tls_hangs_up_on_export_name(void **state)
{
	struct fixture *fixture = *state;

	start(fixture);
	send_option(fixture->fd, NBD_OPT_EXPORT_NAME, "disk", 4);
	assert_true(at_end(fixture->fd));
	assert_int_equal(end(fixture), -EPROTO);
}

static void rule_17_with_tls_nothing_demands_it(void **state)
{
	struct fixture *fixture = *state;
	static const unsigned char unknown[] = { 0, 0, 0, 1, 'x', 0, 0 };

	start(fixture);
	start_tls(fixture);
	assert_int_equal(ask_for(fixture, NBD_OPT_INFO, unknown, sizeof(unknown), NULL),
		NBD_REP_ERR_UNKNOWN);
	assert_int_equal(ask_for(fixture, 99, NULL, 0, NULL), NBD_REP_ERR_UNSUP);
	assert_int_equal(ask_for(fixture, NBD_OPT_LIST, "x", 1, NULL), NBD_REP_ERR_INVALID);
	go(fixture);
	tls_peer_end(&fixture->peer);
}

static void rule_17_selective_tls_is_the_client_s_choice(void **state)
{
	struct fixture *fixture = *state;

	fixture->options.tls = NBDT_TLS_ON;
	start(fixture);
	assert_int_equal(ask_plainly(fixture, NBD_OPT_INFO, disk_request, sizeof(disk_request)),
		NBD_REP_INFO);
	end(fixture);
	start(fixture);
	start_tls(fixture);
	go(fixture);
	tls_peer_end(&fixture->peer);
}

static void rule_18_starttls_comes_once_and_without_data(void **state)
{
	struct fixture *fixture = *state;

	start(fixture);
	assert_int_equal(ask_plainly(fixture, NBD_OPT_STARTTLS, "x", 1), NBD_REP_ERR_INVALID);
	start_tls(fixture);
	assert_int_equal(
		ask_for(fixture, NBD_OPT_STARTTLS, NULL, 0, NULL), NBD_REP_ERR_INVALID);
	assert_int_equal(ask_for(fixture, NBD_OPT_STARTTLS, "x", 1, NULL), NBD_REP_ERR_INVALID);
	go(fixture);
	tls_peer_end(&fixture->peer);
}

/* What somebody in between may have asked for. */
static void rule_18_nothing_agreed_on_before_tls_survives(void **state)
{
	static const char query[] = "\0\0\0\4disk\0\0\0\1\0\0\0\17base:allocation";
	struct fixture *fixture = *state;
	char byte;

	fixture->options.tls = NBDT_TLS_ON;
	start(fixture);
	assert_int_equal(ask_plainly(fixture, NBD_OPT_STRUCTURED_REPLY, NULL, 0), NBD_REP_ACK);
	ask_plainly(fixture, NBD_OPT_SET_META_CONTEXT, query, sizeof(query) - 1);
	/* The context's own reply came first. */
	receive_bytes(fixture->fd, (char[20]){ 0 }, 20);
	start_tls(fixture);
	assert_int_equal(ask_for(fixture, NBD_OPT_SET_META_CONTEXT, query, sizeof(query) - 1, NULL),
		NBD_REP_ERR_INVALID);
	assert_false(go(fixture) & NBD_FLAG_SEND_DF);
	say_request(fixture, NBD_CMD_READ, 7, 0, 1);
	assert_int_equal(hear_reply(fixture, 7), 0);
	hear(fixture, &byte, 1);
	say_request(fixture, NBD_CMD_BLOCK_STATUS, 8, 0, 4096);
	assert_int_equal(hear_reply(fixture, 8), NBD_EINVAL);
	tls_peer_end(&fixture->peer);
}

static void rule_18_option_behind_starttls_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct nbd_option_header options[2];

	for (int i = 0; i < 2; i++) {
		wire_put64(&options[i].magic, NBD_OPTS_MAGIC);
		wire_put32(&options[i].option, i ? NBD_OPT_LIST : NBD_OPT_STARTTLS);
		wire_put32(&options[i].length, 0);
	}
	start(fixture);
	send_bytes(fixture->fd, options, sizeof(options));
	assert_true(at_end(fixture->fd));
	assert_int_equal(end(fixture), -EPROTO);
}

/* An alert may come, but no answer. */
static void rule_18_option_instead_of_a_handshake_is_refused(void **state)
{
	struct fixture *fixture = *state;
	unsigned char alert[64];

	start(fixture);
	assert_int_equal(ask_plainly(fixture, NBD_OPT_STARTTLS, NULL, 0), NBD_REP_ACK);
	send_option(fixture->fd, NBD_OPT_LIST, NULL, 0);
	assert_in_range(recv(fixture->fd, alert, sizeof(alert), MSG_WAITALL), 0, 7);
	assert_int_equal(end(fixture), -EPROTO);
}

static void rule_19_tls_is_1_2_at_least(void **state)
{
	struct fixture *fixture = *state;

	fixture->peer.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2";
	start(fixture);
	start_tls(fixture);
	go(fixture);
	tls_peer_end(&fixture->peer);
	assert_int_equal(end(fixture), 0);
	fixture->peer.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0";
	start(fixture);
	assert_int_equal(ask_plainly(fixture, NBD_OPT_STARTTLS, NULL, 0), NBD_REP_ACK);
	assert_int_not_equal(tls_peer_begin(&fixture->peer, fixture->fd), 0);
	tls_peer_end(&fixture->peer);
	assert_int_equal(end(fixture), -EPROTO);
}

static void pre_shared_key_is_enough(void **state)
{
	struct fixture *fixture = *state;

	prepare_psk(fixture);
	start(fixture);
	start_tls(fixture);
	go(fixture);
	tls_peer_end(&fixture->peer);
}

/* Of a client; before 1.3 the handshake says so, else what follows it. */
static void check_refused(struct fixture *fixture, int code)
{
	char byte;

	start(fixture);
	assert_int_equal(ask_plainly(fixture, NBD_OPT_STARTTLS, NULL, 0), NBD_REP_ACK);
	int result = tls_peer_begin(&fixture->peer, fixture->fd);
	if (!result)
		result = (int)gnutls_record_recv(fixture->peer.session, &byte, 1);
	assert_int_equal(result, GNUTLS_E_FATAL_ALERT_RECEIVED);
	tls_peer_end(&fixture->peer);
	assert_int_equal(end(fixture), code);
}

static void wrong_pre_shared_key_is_refused(void **state)
{
	struct fixture *fixture = *state;

	prepare_psk(fixture);
	fixture->peer.keys = "wrong.psk";
	check_refused(fixture, -EPROTO);
	fixture->peer.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2:+ECDHE-PSK";
	check_refused(fixture, -EPROTO);
}

/* It learns no more than that. */
static void unknown_user_is_refused_like_a_wrong_key(void **state)
{
	struct fixture *fixture = *state;

	prepare_psk(fixture);
	fixture->tls.psk_file = tls_file("wrong.psk");
	fixture->peer.user = "bob";
	check_refused(fixture, -EPROTO);
}

static void certificate_does_not_stand_for_a_pre_shared_key(void **state)
{
	struct fixture *fixture = *state;

	prepare_psk(fixture);
	fixture->peer.keys = NULL;
	fixture->peer.folder = "good";
	check_refused(fixture, -EPROTO);
}

static void client_certificates_are_verified_where_that_is_asked_for(void **state)
{
	static const struct {
		const char *server, *client, *priority;
		int code; /* 0: it is good */
	} cases[] = {
		{ "good", "good", NULL, 0 },
		{ "good", "good", "NORMAL:-VERS-ALL:+VERS-TLS1.2", 0 },
		{ "good", "ca-only", NULL, -EPROTO },
		{ "good", "ca-only", "NORMAL:-VERS-ALL:+VERS-TLS1.2", -EPROTO },
		{ "good", "expired-client", NULL, -EKEYREJECTED },
		{ "good", "expired-client", "NORMAL:-VERS-ALL:+VERS-TLS1.2", -EKEYREJECTED },
		{ "revoked", "good", NULL, -EKEYREJECTED },
	};
	struct fixture *fixture = *state;

	fixture->tls.verify_peer = true;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fixture->tls.certificates = tls_file(cases[i].server);
		fixture->peer.folder = cases[i].client;
		fixture->peer.priority = cases[i].priority;
		if (cases[i].code) {
			check_refused(fixture, cases[i].code);
			continue;
		}
		start(fixture);
		start_tls(fixture);
		go(fixture);
		tls_peer_end(&fixture->peer);
		assert_int_equal(end(fixture), 0);
	}
}

/* GnuTLS's clients keep back a certificate of another CA than those that the server names. */
static void certificate_of_another_ca_is_no_certificate(void **state)
{
	struct fixture *fixture = *state;

	fixture->tls.verify_peer = true;
	fixture->peer.folder = "foreign-client";
	check_refused(fixture, -EPROTO);
}

static void slow_tls_handshake_times_out(void **state)
{
	struct fixture *fixture = *state;

	fixture->options.handshake_timeout = 100;
	start(fixture);
	assert_int_equal(ask_plainly(fixture, NBD_OPT_STARTTLS, NULL, 0), NBD_REP_ACK);
	/* The beginning of a record that is never finished. */
	send_bytes(fixture->fd, "\26\3\1\2\0\1", 6);
	assert_true(at_end(fixture->fd));
	assert_int_equal(end(fixture), -ETIMEDOUT);
}

static void stop_ends_a_tls_handshake_at_once(void **state)
{
	struct fixture *fixture = *state;

	start(fixture);
	assert_int_equal(ask_plainly(fixture, NBD_OPT_STARTTLS, NULL, 0), NBD_REP_ACK);
	nbdt_server_stop(fixture->server);
	assert_true(at_end(fixture->fd));
	assert_int_equal(end(fixture), 0);
}

static void client_may_vanish_in_a_tls_handshake(void **state)
{
	struct fixture *fixture = *state;

	start(fixture);
	assert_int_equal(ask_plainly(fixture, NBD_OPT_STARTTLS, NULL, 0), NBD_REP_ACK);
	send_bytes(fixture->fd, "\26\3\1\2\0\1", 6);
	shutdown(fixture->fd, SHUT_WR);
	assert_true(at_end(fixture->fd));
	assert_int_equal(end(fixture), -ECONNRESET);
}

/* A hello of 16 MiB in many records, of which the first 256 KiB come. */
static void messages_in_the_handshake_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	unsigned char record[5 + 4096] = { 22, 3, 1, 4096 >> 8, 0, 1, 0xff, 0xff, 0xff };

	start(fixture);
	assert_int_equal(ask_plainly(fixture, NBD_OPT_STARTTLS, NULL, 0), NBD_REP_ACK);
	for (int i = 0; i < 64; i++)
		send_bytes(fixture->fd, record, sizeof(record));
	assert_true(at_end(fixture->fd));
	assert_int_equal(end(fixture), -EPROTO);
}

static void begin_transmission(struct fixture *fixture)
{
	start(fixture);
	start_tls(fixture);
	go(fixture);
}

static void data_comes_back_as_it_was_written(void **state)
{
	struct fixture *fixture = *state;
	unsigned char *data = malloc(MEMORY_SIZE), *back = malloc(MEMORY_SIZE);

	for (size_t i = 0; i < MEMORY_SIZE; i++)
		data[i] = (unsigned char)(i % 251);
	begin_transmission(fixture);
	say_request(fixture, NBD_CMD_WRITE, 1, 0, MEMORY_SIZE);
	say(fixture, data, MEMORY_SIZE);
	assert_int_equal(hear_reply(fixture, 1), 0);
	say_request(fixture, NBD_CMD_READ, 2, 0, MEMORY_SIZE);
	assert_int_equal(hear_reply(fixture, 2), 0);
	hear(fixture, back, MEMORY_SIZE);
	assert_memory_equal(data, back, MEMORY_SIZE);
	free(data);
	free(back);
	tls_peer_end(&fixture->peer);
}

/* More than slots, and all in one record: the rest is nowhere that poll() could see it. */
static void many_requests_in_one_record_are_all_answered(void **state)
{
	enum { COUNT = 500 };
	struct fixture *fixture = *state;
	unsigned char *batch = malloc(COUNT * sizeof(struct nbd_request_header));
	unsigned char bytes[100];

	for (unsigned int i = 0; i < COUNT; i++)
		put_request(batch + i * sizeof(struct nbd_request_header), NBD_CMD_READ, i, i, 100);
	begin_transmission(fixture);
	say(fixture, batch, COUNT * sizeof(struct nbd_request_header));
	for (unsigned int i = 0; i < COUNT; i++) {
		assert_int_equal(hear_reply(fixture, i), 0);
		hear(fixture, bytes, sizeof(bytes));
	}
	free(batch);
	tls_peer_end(&fixture->peer);
}

/* 16 MiB of replies that nobody takes for a while. */
static void replies_wait_for_a_slow_client(void **state)
{
	enum { COUNT = 16 };
	struct fixture *fixture = *state;
	unsigned char *data = malloc(MEMORY_SIZE);

	for (size_t i = 0; i < MEMORY_SIZE; i++)
		fixture->memory.bytes[i] = (unsigned char)(i % 251);
	begin_transmission(fixture);
	for (unsigned int i = 0; i < COUNT; i++)
		say_request(fixture, NBD_CMD_READ, i, 0, MEMORY_SIZE);
	usleep(50000);
	assert_int_equal(gnutls_session_key_update(fixture->peer.session, GNUTLS_KU_PEER), 0);
	say_request(fixture, NBD_CMD_READ, COUNT, 0, MEMORY_SIZE);
	for (unsigned int i = 0; i <= COUNT; i++) {
		assert_int_equal(hear_reply(fixture, i), 0);
		hear(fixture, data, MEMORY_SIZE);
		assert_memory_equal(data, fixture->memory.bytes, MEMORY_SIZE);
	}
	free(data);
	tls_peer_end(&fixture->peer);
}

static void rule_36_refused_write_is_skipped_over_tls(void **state)
{
	struct fixture *fixture = *state;
	unsigned char *payload = calloc(1, 300000);

	begin_transmission(fixture);
	say_request(fixture, NBD_CMD_WRITE, 1, MEMORY_SIZE - 1, 300000);
	say(fixture, payload, 300000);
	assert_int_equal(hear_reply(fixture, 1), NBD_ENOSPC);
	say_request(fixture, 77, 2, 0, 0);
	assert_int_equal(hear_reply(fixture, 2), NBD_EINVAL);
	say_request(fixture, NBD_CMD_WRITE, 3, 0, 512);
	say(fixture, payload, 512);
	assert_int_equal(hear_reply(fixture, 3), 0);
	free(payload);
	tls_peer_end(&fixture->peer);
}

static void check_goodbye(struct fixture *fixture)
{
	char byte;

	assert_int_equal(gnutls_record_recv(fixture->peer.session, &byte, 1), 0);
	tls_peer_end(&fixture->peer);
	assert_int_equal(end(fixture), 0);
}

static void rule_42_disconnect_is_answered_with_the_end_of_tls(void **state)
{
	struct fixture *fixture = *state;
	char byte;

	begin_transmission(fixture);
	say_request(fixture, NBD_CMD_READ, 1, 0, 1);
	say_request(fixture, NBD_CMD_DISC, 2, 0, 0);
	tls_leave(fixture->peer.session);
	assert_int_equal(hear_reply(fixture, 1), 0);
	hear(fixture, &byte, 1);
	check_goodbye(fixture);
}

static void rule_42_stop_ends_tls_of_an_idle_client(void **state)
{
	struct fixture *fixture = *state;

	begin_transmission(fixture);
	nbdt_server_stop(fixture->server);
	check_goodbye(fixture);
}

/* As many clients leave, those who care for the end of TLS and those who don't. */
static void leaving_between_messages_is_no_error(void **state)
{
	struct fixture *fixture = *state;

	begin_transmission(fixture);
	tls_leave(fixture->peer.session);
	check_goodbye(fixture);
	begin_transmission(fixture);
	tls_peer_end(&fixture->peer);
	assert_int_equal(end(fixture), 0);
}

static void vanishing_inside_a_message_is_one(void **state)
{
	struct fixture *fixture = *state;

	begin_transmission(fixture);
	say_request(fixture, NBD_CMD_WRITE, 1, 0, 512);
	say(fixture, "only a part", 11);
	tls_peer_end(&fixture->peer);
	assert_int_equal(end(fixture), -ECONNRESET);
	begin_transmission(fixture);
	/* A record's header alone has nothing of a message. */
	send_bytes(fixture->fd, "\27\3\3\0\100", 5);
	tls_peer_end(&fixture->peer);
	assert_int_equal(end(fixture), 0);
}

static void plaintext_in_transmission_ends_it(void **state)
{
	struct fixture *fixture = *state;
	unsigned char request[sizeof(struct nbd_request_header)];

	begin_transmission(fixture);
	put_request(request, NBD_CMD_READ, 1, 0, 512);
	send_bytes(fixture->fd, request, sizeof(request));
	assert_int_equal(gnutls_record_recv(fixture->peer.session, request, 1),
		GNUTLS_E_FATAL_ALERT_RECEIVED);
	tls_peer_end(&fixture->peer);
	assert_int_equal(end(fixture), -EPROTO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rule_17_without_tls_starttls_is_refused_and_nothing_demands_it),
		TEST(rule_17_required_tls_is_demanded_by_all_but_starttls_and_abort),
		TEST(rule_17_required_tls_lets_clients_abort),
		TEST(rule_17_required_tls_hangs_up_on_export_name),
		TEST(rule_17_with_tls_nothing_demands_it),
		TEST(rule_17_selective_tls_is_the_client_s_choice),
		TEST(rule_18_starttls_comes_once_and_without_data),
		TEST(rule_18_nothing_agreed_on_before_tls_survives),
		TEST(rule_18_option_behind_starttls_is_refused),
		TEST(rule_18_option_instead_of_a_handshake_is_refused),
		TEST(rule_19_tls_is_1_2_at_least),
		TEST(pre_shared_key_is_enough),
		TEST(wrong_pre_shared_key_is_refused),
		TEST(unknown_user_is_refused_like_a_wrong_key),
		TEST(certificate_does_not_stand_for_a_pre_shared_key),
		TEST(client_certificates_are_verified_where_that_is_asked_for),
		TEST(certificate_of_another_ca_is_no_certificate),
		TEST(slow_tls_handshake_times_out),
		TEST(stop_ends_a_tls_handshake_at_once),
		TEST(client_may_vanish_in_a_tls_handshake),
		TEST(messages_in_the_handshake_are_bounded),
		TEST(data_comes_back_as_it_was_written),
		TEST(many_requests_in_one_record_are_all_answered),
		TEST(replies_wait_for_a_slow_client),
		TEST(rule_36_refused_write_is_skipped_over_tls),
		TEST(rule_42_disconnect_is_answered_with_the_end_of_tls),
		TEST(rule_42_stop_ends_tls_of_an_idle_client),
		TEST(leaving_between_messages_is_no_error),
		TEST(vanishing_inside_a_message_is_one),
		TEST(plaintext_in_transmission_ends_it),
	};

	return cmocka_run_group_tests(tests, tls_files_set_up, tls_files_tear_down);
}
