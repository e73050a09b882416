/* SPDX-License-Identifier: Apache-2.0 */
/* The client's STARTTLS ("TLS support"), and whom it believes. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client-fixture.h"
#include "heap.h"
#include "tls-peer.h"
#include "wire.h"

#define TIMEOUT 10000 /* milliseconds */

/* A server that agrees on TLS, and a client of it. */
struct link {
	struct tls_peer peer;
	struct nbdt_tls_options options;
	struct nbdt_client *client;
	struct nbdt_error err;
};

/* The usual ones, which understand each other; a test changes what it is about. */
static void prepare(struct link *link)
{
	memset(link, 0, sizeof(*link));
	link->peer.server = true;
	link->peer.folder = "good";
	link->peer.before = agree_on_tls;
	link->options.certificates = tls_file("good");
	link->options.hostname = "localhost";
	link->options.verify_peer = true;
}

static void prepare_psk(struct link *link)
{
	prepare(link);
	link->peer.folder = NULL;
	link->peer.keys = "keys.psk";
	link->options.certificates = NULL;
	link->options.psk_file = tls_file("keys.psk");
	link->options.user = "alice";
}

static int begin(struct link *link, unsigned int timeout)
{
	int fd;

	tls_peer_start(&link->peer, &fd);
	heap_watch();
	assert_int_equal(nbdt_client_adopt(fd, timeout, &link->client, &link->err), 0);
	assert_false(nbdt_client_uses_tls(link->client));
	return nbdt_client_start_tls(link->client, &link->options, &link->err);
}

/* Returns GnuTLS's result on the other side. */
static int end(struct link *link)
{
	nbdt_client_close(link->client);
	check_client_memory();
	return tls_peer_finish(&link->peer);
}

static void check_success(struct link *link)
{
	if (begin(link, TIMEOUT))
		fail_msg("%s", link->err.text);
	assert_true(nbdt_client_uses_tls(link->client));
	assert_int_equal(end(link), 0);
}

/* After a failure nothing is said any more, neither encrypted nor in the clear. */
static void check_failure(struct link *link, int code, const char *word)
{
	int result = begin(link, TIMEOUT);

	if (result != code || link->err.code != code || !strstr(link->err.text, word))
		fail_msg("%d: '%s' does not say '%s'", result, link->err.text, word);
	assert_false(nbdt_client_uses_tls(link->client));
	assert_int_equal(nbdt_client_list(link->client, NULL, NULL, NULL), -EINVAL);
	assert_int_not_equal(end(link), 0);
	/* But for what was on its way, if it is the peer who finds fault. */
	assert_true(!link->peer.leftovers || link->peer.ask_certificate);
}

static void rule_19_certificate_and_host_name_are_verified(void **state)
{
	static const struct {
		const char *server, *client, *hostname;
		const char *word; /* NULL: it is good */
	} cases[] = {
		{ "good", "good", "localhost", NULL },
		{ "good", "good", "nbd.test", NULL },
		{ "good", "ca-only", "127.0.0.1", NULL },
		{ "good", "ca-only", "::1", NULL },
		{ "good", "good", "elsewhere.test", "that of 'elsewhere.test'" },
		{ "good", "good", "127.0.0.2", "name in the certificate does not match" },
		{ "good", "good", "local", "does not match" },
		{ "good", "other-ca", "localhost", "issuer is unknown. (ca-cert.pem" },
		{ "good", "revoked", "localhost", "revoked" },
		{ "self-signed", "good", "localhost", "issuer is unknown" },
		{ "wrong-name", "good", "localhost", "that of 'localhost'" },
		{ "expired", "good", "localhost", "expired certificate. (it has to be renewed)" },
		{ "early", "good", "localhost", "not yet valid certificate. (is the clock" },
		{ "wrong-purpose", "good", "localhost", "intended purpose" },
		{ "other-ca", "good", "localhost", "NOT trusted" },
	};
	struct link link;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		prepare(&link);
		link.peer.folder = cases[i].server;
		link.options.certificates = tls_file(cases[i].client);
		link.options.hostname = cases[i].hostname;
		if (cases[i].word)
			check_failure(&link, -EKEYREJECTED, cases[i].word);
		else
			check_success(&link);
	}
}

static void nothing_is_verified_for_one_who_says_so(void **state)
{
	static const char *const servers[] = { "self-signed", "wrong-name", "expired" };
	struct link link;

	(void)state;
	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
		prepare(&link);
		link.peer.folder = servers[i];
		link.options.verify_peer = false;
		link.options.certificates = tls_file("ca-only");
		check_success(&link);
	}
}

static void rule_19_tls_is_1_2_at_least(void **state)
{
	static const char *const good[] = { "NORMAL:-VERS-ALL:+VERS-TLS1.2",
		"NORMAL:-VERS-ALL:+VERS-TLS1.3" };
	struct link link;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		prepare(&link);
		link.peer.priority = good[i];
		check_success(&link);
		prepare_psk(&link);
		link.peer.priority = i ? "NORMAL:-VERS-ALL:+VERS-TLS1.3:+ECDHE-PSK"
				       : "NORMAL:-VERS-ALL:+VERS-TLS1.2:+ECDHE-PSK";
		check_success(&link);
	}
	prepare(&link);
	link.peer.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0";
	check_failure(&link, -EPROTO, "version");
}

static void pre_shared_key_is_enough(void **state)
{
	struct link link;

	(void)state;
	prepare_psk(&link);
	check_success(&link);
	prepare_psk(&link);
	link.options.user = "bob";
	link.options.hostname = NULL;
	check_success(&link);
}

static void wrong_pre_shared_key_is_refused(void **state)
{
	struct link link;

	(void)state;
	prepare_psk(&link);
	link.options.psk_file = tls_file("wrong.psk");
	check_failure(&link, -EREMOTEIO, "has it pre-shared keys, and for this user the same?");
}

/* A certificate, good or not, proves nothing to one who expects a pre-shared key. */
static void certificate_does_not_stand_for_a_pre_shared_key(void **state)
{
	static const char *const priorities[] = { "NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL" };
	struct link link;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(priorities) / sizeof(priorities[0]); i++) {
		prepare_psk(&link);
		link.peer.keys = NULL;
		link.peer.folder = "good";
		link.peer.priority = priorities[i];
		tls_peer_start(&link.peer, &fd);
		assert_int_equal(nbdt_client_adopt(fd, TIMEOUT, &link.client, NULL), 0);
		assert_in_range(
			-nbdt_client_start_tls(link.client, &link.options, &link.err), 1, 4095);
		assert_non_null(strstr(link.err.text, "has it pre-shared keys"));
		assert_int_not_equal(end(&link), 0);
		assert_int_equal(link.peer.leftovers, 0);
	}
}

static void client_certificate_is_shown_to_one_who_asks(void **state)
{
	struct link link;

	(void)state;
	prepare(&link);
	link.peer.ask_certificate = true;
	check_success(&link);
}

/* With TLS 1.3, after the handshake is done for us. */
static void missing_client_certificate_is_told(void **state)
{
	struct link link;

	(void)state;
	prepare(&link);
	link.peer.ask_certificate = true;
	link.peer.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3";
	link.options.certificates = tls_file("ca-only");
	assert_int_equal(begin(&link, TIMEOUT), 0);
	assert_int_equal(nbdt_client_list(link.client, NULL, NULL, &link.err), -ECONNRESET);
	assert_non_null(strstr(link.err.text, "TLS with the server failed: it says: "));
	assert_non_null(strstr(link.err.text, "ertificate"));
	end(&link);
	prepare(&link);
	link.peer.ask_certificate = true;
	link.peer.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2";
	link.options.certificates = tls_file("ca-only");
	check_failure(&link, -EREMOTEIO, "does it want a client certificate");
}

/* Which is an end to it: the client sends nothing but its goodbye. */
static void rule_10_no_tls_is_no_connection(void **state)
{
	static const uint32_t refusals[] = { NBD_REP_ERR_UNSUP, NBD_REP_ERR_POLICY,
		NBD_REP_ERR_INVALID, NBD_REP_ERR_PLATFORM, NBD_REP_ERR_TLS_REQD };
	const struct nbdt_tls_options options = {
		.certificates = tls_file("good"),
		.hostname = "localhost",
		.verify_peer = true,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		void *each;

		fixture_set_up(&each);
		struct fixture *fixture = each;
		script_expect_option(fixture->script, NBD_OPT_STARTTLS, NULL, 0);
		script_reply(fixture->script, NBD_OPT_STARTTLS, refusals[i], "never\n", 6);
		script_expect_abort(fixture->script);
		fixture_start(fixture);
		assert_int_equal(
			nbdt_client_start_tls(fixture->client, &options, &fixture->err),
			-EREMOTEIO);
		fixture_check_error(fixture, -EREMOTEIO,
			"the server has no TLS, which was asked for: never?");
		fixture_finish(fixture);
		fixture_tear_down(&each);
	}
}

static void rule_10_server_too_old_for_tls_is_left(void **state)
{
	struct fixture *fixture = *state;
	const struct nbdt_tls_options options = {
		.certificates = tls_file("good"),
		.hostname = "localhost",
		.verify_peer = true,
	};

	script_newstyle(fixture->script, 0, 0);
	fixture_start(fixture);
	assert_int_equal(
		nbdt_client_start_tls(fixture->client, &options, &fixture->err), -EREMOTEIO);
	fixture_check_error(fixture, -EREMOTEIO, "too old for TLS");
	fixture_finish(fixture);
}

static void agree_and_go_on(int fd)
{
	struct nbd_option_reply_header reply = { 0 };
	unsigned char both[2 * sizeof(reply)];
	unsigned char option[sizeof(struct nbd_option_header)];
	unsigned char greeting[18], answer[4];

	wire_put64(greeting, NBD_MAGIC);
	wire_put64(greeting + 8, NBD_OPTS_MAGIC);
	wire_put16(greeting + 16, NBD_FLAG_FIXED_NEWSTYLE);
	send(fd, greeting, sizeof(greeting), MSG_NOSIGNAL);
	recv(fd, answer, sizeof(answer), MSG_WAITALL);
	recv(fd, option, sizeof(option), MSG_WAITALL);
	wire_put64(&reply.magic, NBD_OPT_REPLY_MAGIC);
	wire_put32(&reply.option, NBD_OPT_STARTTLS);
	wire_put32(&reply.reply, NBD_REP_ACK);
	memcpy(both, &reply, sizeof(reply));
	wire_put32(&reply.option, NBD_OPT_LIST);
	memcpy(both + sizeof(reply), &reply, sizeof(reply));
	send(fd, both, sizeof(both), MSG_NOSIGNAL);
}

/* The second reply would be taken for one that came over TLS. */
static void rule_18_plaintext_behind_starttls_is_refused(void **state)
{
	struct link link;

	(void)state;
	prepare(&link);
	link.peer.before = agree_and_go_on;
	check_failure(&link, -EPROTO, "it goes on without TLS after agreeing on it");
}

static void agree_and_answer_in_the_clear(int fd)
{
	struct nbd_option_reply_header reply = { 0 };
	char hello;

	agree_on_tls(fd);
	recv(fd, &hello, 1, MSG_PEEK);
	wire_put64(&reply.magic, NBD_OPT_REPLY_MAGIC);
	send(fd, &reply, sizeof(reply), MSG_NOSIGNAL);
}

static void rule_18_plaintext_inside_the_handshake_is_refused(void **state)
{
	struct link link;

	(void)state;
	prepare(&link);
	link.peer.before = agree_and_answer_in_the_clear;
	assert_int_equal(begin(&link, TIMEOUT), -EPROTO);
	assert_non_null(strstr(link.err.text, "TLS with the server failed: "));
	assert_int_not_equal(end(&link), 0);
}

/* Passes on LIMIT bytes of what the server says after its greeting; then it hangs up, or not. */
struct relay {
	int client, server;
	size_t limit;
	bool stall;
	pthread_t thread;
};

static bool pass_on(int from, int to, size_t *limit)
{
	char bytes[4096];
	ssize_t got = recv(from, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (got <= 0)
		return got < 0 && errno == EAGAIN;
	size_t allowed = (size_t)got < *limit ? (size_t)got : *limit;
	*limit -= allowed;
	return send(to, bytes, allowed, MSG_NOSIGNAL) == (ssize_t)allowed;
}

static void *run_relay(void *arg)
{
	struct relay *relay = arg;
	struct pollfd wait[] = {
		{ .fd = relay->client, .events = POLLIN },
		{ .fd = relay->server, .events = POLLIN },
	};
	size_t unlimited = SIZE_MAX;
	bool going = true;

	while (going && poll(wait, 2, TIMEOUT) > 0) {
		going = pass_on(relay->client, relay->server, &unlimited);
		if (going && (relay->limit || relay->stall))
			going = pass_on(relay->server, relay->client, &relay->limit);
		going = going && (relay->limit || relay->stall);
	}
	close(relay->client);
	close(relay->server);
	return NULL;
}

/* TIME in milliseconds, for all of it. */
static int converse_through_relay(struct link *link, size_t limit, bool stall, unsigned int time)
{
	struct relay relay = { .limit = limit, .stall = stall };
	int pair[2];

	tls_peer_start(&link->peer, &relay.server);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	relay.client = pair[1];
	assert_int_equal(pthread_create(&relay.thread, NULL, run_relay, &relay), 0);
	heap_watch();
	assert_int_equal(nbdt_client_adopt(pair[0], TIMEOUT, &link->client, NULL), 0);
	nbdt_client_limit(link->client, time);
	int result = nbdt_client_start_tls(link->client, &link->options, &link->err);
	nbdt_client_close(link->client);
	check_client_memory();
	pthread_join(relay.thread, NULL);
	tls_peer_finish(&link->peer);
	return result;
}

#define GREETING (18 + sizeof(struct nbd_option_reply_header))

/* On a busy machine the time may be over before the answer to STARTTLS: it gets more, then. */
static void check_stall(size_t limit)
{
	struct link link;

	for (unsigned int time = 100; time < TIMEOUT; time *= 2) {
		prepare(&link);
		assert_int_equal(
			converse_through_relay(&link, GREETING + limit, true, time), -ETIMEDOUT);
		if (strstr(link.err.text, "its handshake was not done in time"))
			return;
	}
	fail_msg("%zu bytes: %s", limit, link.err.text);
}

/* A server's part of the handshake is over 500 bytes long. */
static void server_may_stall_anywhere_in_the_handshake(void **state)
{
	(void)state;
	for (size_t limit = 0; limit < 500; limit += limit < 12 ? 3 : 97)
		check_stall(limit);
}

static void server_may_hang_up_anywhere_in_the_handshake(void **state)
{
	struct link link;

	(void)state;
	for (size_t limit = 0; limit < 500; limit += limit < 12 ? 3 : 31) {
		prepare(&link);
		assert_int_equal(
			converse_through_relay(&link, GREETING + limit, false, TIMEOUT),
			-ECONNRESET);
		assert_non_null(strstr(link.err.text, "hung up in the handshake"));
	}
}

/* The server agrees on TLS, and then says these bytes again and again. The error says WORD. */
static void check_failing_handshake(enum script_action action, const void *bytes, size_t length,
	unsigned int timeout, const char *word)
{
	const struct nbdt_tls_options options = {
		.certificates = tls_file("good"),
		.hostname = "localhost",
		.verify_peer = true,
	};
	struct script *script = script_new();
	struct nbdt_client *client;
	struct nbdt_error err = { 0 };
	int fd;

	script_greeting(script);
	script_expect_option(script, NBD_OPT_STARTTLS, NULL, 0);
	script_ack(script, NBD_OPT_STARTTLS);
	/* Until the client has begun, it would be told that nothing may be said. */
	script_add(script, SCRIPT_EXPECT, "\x16", 1);
	script_add(script, action, bytes, length);
	struct peer *peer = peer_start(script, &fd);
	assert_int_equal(scripted_client_open(script, fd, TIMEOUT, &client, NULL), 0);
	nbdt_client_limit(client, timeout);
	int result = nbdt_client_start_tls(client, &options, &err);
	assert_true(result == -ETIMEDOUT || result == -EPROTO || result == -EREMOTEIO);
	if (!strstr(err.text, word))
		fail_msg("'%s' does not say '%s'", err.text, word);
	scripted_client_close(client);
	peer_finish(peer);
	free(script);
}

/* A warning that never ends: 20 ms for each byte. */
static void trickle_in_the_handshake_has_an_end(void **state)
{
	static const unsigned char warning[] = { 21, 3, 3, 0, 2, 1, 112 };

	(void)state;
	check_failing_handshake(SCRIPT_TRICKLE, warning, sizeof(warning), 300, "server");
}

/* The first record begins with a message's type and its length of 24 bits, the others go on. */
static void messages_in_the_handshake_are_bounded(void **state)
{
	static const unsigned char server_hello = 2, certificate = 11;
	unsigned char record[5 + 4096] = { 22, 3, 3, 4096 >> 8, 0, 0, 0xff, 0xff, 0xff };

	(void)state;
	record[5] = server_hello;
	check_failing_handshake(SCRIPT_FLOOD, record, sizeof(record), TIMEOUT,
		"too much was sent that is no data");
	record[5] = certificate;
	check_failing_handshake(SCRIPT_FLOOD, record, sizeof(record), TIMEOUT,
		"too much was sent that is no data");
}

static void records_in_the_handshake_are_bounded(void **state)
{
	static const unsigned char empty[] = { 22, 3, 3, 0, 0 };
	static const unsigned char change[] = { 20, 3, 3, 0, 1, 1 };
	static const unsigned char warning[] = { 21, 3, 3, 0, 2, 1, 112 };

	(void)state;
	check_failing_handshake(SCRIPT_FLOOD, empty, sizeof(empty), 300, "server");
	check_failing_handshake(SCRIPT_FLOOD, change, sizeof(change), 300, "server");
	check_failing_handshake(SCRIPT_FLOOD, warning, sizeof(warning), 300, "server");
}

static void tls_is_started_once_and_first(void **state)
{
	struct link link;

	(void)state;
	prepare(&link);
	assert_int_equal(begin(&link, TIMEOUT), 0);
	assert_int_equal(
		nbdt_client_start_tls(link.client, &link.options, &link.err), -EINVAL);
	assert_non_null(strstr(link.err.text, "only be started once"));
	assert_int_equal(end(&link), 0);
}

static void tls_does_not_start_after_other_agreements(void **state)
{
	struct fixture *fixture = *state;
	const struct nbdt_tls_options options = {
		.certificates = tls_file("good"),
		.hostname = "localhost",
		.verify_peer = true,
	};

	script_greeting(fixture->script);
	script_expect_option(fixture->script, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	script_ack(fixture->script, NBD_OPT_STRUCTURED_REPLY);
	script_expect_abort(fixture->script);
	fixture_start(fixture);
	assert_int_equal(
		nbdt_client_negotiate(fixture->client, NBDT_WANT_STRUCTURED, NULL), 0);
	assert_int_equal(nbdt_client_start_tls(fixture->client, &options, NULL), -EINVAL);
	fixture_finish(fixture);
}

/* GO is asked for with the informations of description and block size. */
static void serve_export(gnutls_session_t session, int fd, void *arg)
{
	unsigned char inquiry[16 + 4 + 2 + 4], replies[2 * 20 + 12], disconnect[28];
	struct nbd_option_reply_header header = { 0 };

	(void)fd;
	if (!tls_hear(session, inquiry, sizeof(inquiry)))
		return;
	wire_put64(&header.magic, NBD_OPT_REPLY_MAGIC);
	wire_put32(&header.option, NBD_OPT_GO);
	wire_put32(&header.reply, NBD_REP_INFO);
	wire_put32(&header.length, 12);
	memcpy(replies, &header, 20);
	wire_put16(replies + 20, NBD_INFO_EXPORT);
	wire_put64(replies + 22, 4096);
	wire_put16(replies + 30, NBD_FLAG_HAS_FLAGS);
	wire_put32(&header.reply, NBD_REP_ACK);
	wire_put32(&header.length, 0);
	memcpy(replies + 32, &header, 20);
	tls_say(session, replies, sizeof(replies));
	*(bool *)arg = tls_hear(session, disconnect, sizeof(disconnect))
		       && gnutls_record_recv(session, disconnect, 1) == 0;
}

static void encrypted_socket_is_not_for_the_kernel(void **state)
{
	struct nbdt_export export = { 0 };
	struct link link;
	bool left_properly = false;

	(void)state;
	prepare(&link);
	link.peer.play = serve_export;
	link.peer.arg = &left_properly;
	assert_int_equal(begin(&link, TIMEOUT), 0);
	assert_int_equal(nbdt_client_go(link.client, "", &export, NULL), 0);
	assert_int_equal(export.size, 4096);
	nbdt_export_clear(&export);
	assert_int_equal(nbdt_client_take_socket(link.client, &link.err), -EOPNOTSUPP);
	assert_non_null(strstr(link.err.text, "TLS in the kernel is not built yet"));
	assert_int_equal(end(&link), 0);
	assert_true(left_properly);
}

#define SCRIPTED(name)                                                                            \
	cmocka_unit_test_setup_teardown(name, fixture_set_up_empty, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_19_certificate_and_host_name_are_verified),
		cmocka_unit_test(nothing_is_verified_for_one_who_says_so),
		cmocka_unit_test(rule_19_tls_is_1_2_at_least),
		cmocka_unit_test(pre_shared_key_is_enough),
		cmocka_unit_test(wrong_pre_shared_key_is_refused),
		cmocka_unit_test(certificate_does_not_stand_for_a_pre_shared_key),
		cmocka_unit_test(client_certificate_is_shown_to_one_who_asks),
		cmocka_unit_test(missing_client_certificate_is_told),
		cmocka_unit_test(rule_10_no_tls_is_no_connection),
		SCRIPTED(rule_10_server_too_old_for_tls_is_left),
		cmocka_unit_test(rule_18_plaintext_behind_starttls_is_refused),
		cmocka_unit_test(rule_18_plaintext_inside_the_handshake_is_refused),
		cmocka_unit_test(server_may_stall_anywhere_in_the_handshake),
		cmocka_unit_test(server_may_hang_up_anywhere_in_the_handshake),
		cmocka_unit_test(trickle_in_the_handshake_has_an_end),
		cmocka_unit_test(messages_in_the_handshake_are_bounded),
		cmocka_unit_test(records_in_the_handshake_are_bounded),
		cmocka_unit_test(tls_is_started_once_and_first),
		SCRIPTED(tls_does_not_start_after_other_agreements),
		cmocka_unit_test(encrypted_socket_is_not_for_the_kernel),
	};

	return cmocka_run_group_tests(tests, tls_files_set_up, tls_files_tear_down);
}
