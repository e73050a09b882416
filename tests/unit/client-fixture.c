/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
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

#define TIMEOUT 10000     /* milliseconds */
#define TLS_TIMEOUT 10000 /* milliseconds for the handshake */
/* Bytes. 64 names of metadata contexts take half of it, buffers of TLS a third. */
#define MEMORY_LIMIT ((size_t)512 * 1024)

int fixture_set_up_empty(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->script = script_new();
	*state = fixture;
	return 0;
}

int fixture_set_up(void **state)
{
	fixture_set_up_empty(state);
	script_greeting(((struct fixture *)*state)->script);
	return 0;
}

int fixture_tear_down(void **state)
{
	struct fixture *fixture = *state;

	nbdt_export_clear(&fixture->export);
	free(fixture->script);
	free(fixture);
	return 0;
}

static int start_tls(struct nbdt_client *client, struct nbdt_error *err)
{
	const struct nbdt_tls_options options = { .psk_file = tls_file("keys.psk"),
		.user = "alice" };

	return nbdt_client_start_tls(client, &options, err);
}

static int open_client(const struct script *script, int fd, unsigned int timeout,
	struct nbdt_client **client, struct nbdt_error *err)
{
	int result = nbdt_client_adopt(fd, script->tls ? TLS_TIMEOUT : timeout, client, err);

	if (result || !script->tls)
		return result;
	result = start_tls(*client, err);
	if (result)
		nbdt_client_close(*client);
	else
		nbdt_client_limit(*client, timeout);
	return result;
}

void check_client_memory(void)
{
	size_t peak = heap_peak();

	if (peak > MEMORY_LIMIT)
		fail_msg("the client had %zu bytes of memory", peak);
}

int scripted_client_open(const struct script *script, int fd, unsigned int timeout,
	struct nbdt_client **client, struct nbdt_error *err)
{
	heap_watch();
	int result = open_client(script, fd, timeout, client, err);
	if (result)
		check_client_memory();
	return result;
}

void scripted_client_close(struct nbdt_client *client)
{
	nbdt_client_close(client);
	check_client_memory();
}

void fixture_start(struct fixture *fixture)
{
	fixture_start_within(fixture, TIMEOUT);
}

void fixture_start_within(struct fixture *fixture, unsigned int timeout)
{
	int fd;

	fixture->peer = peer_start(fixture->script, &fd);
	int result = scripted_client_open(
		fixture->script, fd, timeout, &fixture->client, &fixture->err);
	if (result)
		fail_msg("%s", fixture->err.text);
}

void fixture_negotiate(struct fixture *fixture)
{
	static const unsigned int wishes[] = {
		[SCRIPT_SIMPLE] = 0,
		[SCRIPT_STRUCTURED] = NBDT_WANT_STRUCTURED,
		[SCRIPT_EXTENDED] = NBDT_WANT_EXTENDED,
	};

	fixture_start(fixture);
	assert_int_equal(nbdt_client_negotiate(fixture->client,
				 wishes[fixture->script->replies], &fixture->err),
		0);
}

void fixture_go(struct fixture *fixture, const char *context)
{
	fixture_negotiate(fixture);
	if (context)
		assert_int_equal(nbdt_client_set_contexts(fixture->client, "disk", &context, 1,
					 &fixture->err),
			0);
	assert_int_equal(fixture_ask(fixture, NBD_OPT_GO, "disk"), 0);
}

int fixture_ask(struct fixture *fixture, uint32_t option, const char *name)
{
	nbdt_export_clear(&fixture->export);
	if (option == NBD_OPT_INFO)
		return nbdt_client_info(fixture->client, name, &fixture->export, &fixture->err);
	return nbdt_client_go(fixture->client, name, &fixture->export, &fixture->err);
}

static int ignore_extent(
	const char *context, uint64_t offset, const struct nbdt_extent *extent, void *arg)
{
	(void)context;
	(void)offset;
	(void)extent;
	(void)arg;
	return 0;
}

int fixture_issue(struct fixture *fixture, enum command command, uint64_t offset, uint64_t length,
	unsigned int flags)
{
	static unsigned char buffer[64 * 1024 * 1024];
	struct nbdt_client *client = fixture->client;
	struct nbdt_error *err = &fixture->err;

	switch (command) {
	case PREAD:
		return nbdt_client_pread(client, buffer, length, offset, flags, err);
	case PWRITE:
		memset(buffer, 'w', length < sizeof(buffer) ? length : 0);
		return nbdt_client_pwrite(client, buffer, length, offset, flags, err);
	case FLUSH:
		return nbdt_client_flush(client, err);
	case TRIM:
		return nbdt_client_trim(client, offset, length, flags, err);
	case ZERO:
		return nbdt_client_zero(client, offset, length, flags, err);
	case CACHE:
		return nbdt_client_cache(client, offset, length, err);
	case STATUS:
		return nbdt_client_block_status(
			client, offset, length, flags, ignore_extent, NULL, err);
	}
	return -ENOSYS;
}

void fixture_check_error(struct fixture *fixture, int code, const char *word)
{
	assert_int_equal(fixture->err.code, code);
	if (!strstr(fixture->err.text, word))
		fail_msg("'%s' does not say '%s'", fixture->err.text, word);
	assert_null(fixture->export.name);
	assert_null(fixture->export.description);
}

uint64_t fixture_begin(struct script *script, enum script_replies replies, enum command command,
	unsigned int flags)
{
	static const uint16_t types[] = {
		[PREAD] = NBD_CMD_READ,
		[PWRITE] = NBD_CMD_WRITE,
		[FLUSH] = NBD_CMD_FLUSH,
		[TRIM] = NBD_CMD_TRIM,
		[ZERO] = NBD_CMD_WRITE_ZEROES,
		[CACHE] = NBD_CMD_CACHE,
		[STATUS] = NBD_CMD_BLOCK_STATUS,
	};
	bool flush = command == FLUSH;

	script_agree(script, replies);
	if (replies != SCRIPT_SIMPLE)
		script_select(script, "base:allocation", FIXTURE_CONTEXT);
	script_go(script, 1024UL * 1024, FIXTURE_ALL_FLAGS);
	uint64_t cookie = script_expect_request(script, types[command], (uint16_t)flags,
		flush ? 0 : FIXTURE_OFFSET, flush ? 0 : FIXTURE_LENGTH);
	if (command == PWRITE)
		script_add(script, SCRIPT_EXPECT, "wwwwwwwwwwwwwwww", FIXTURE_LENGTH);
	return cookie;
}

void fixture_check_broken(struct fixture *fixture, const char *name, enum command command,
	unsigned int flags, const char *said)
{
	fixture_go(fixture, fixture->script->replies ? "base:allocation" : NULL);
	int result = fixture_issue(fixture, command, FIXTURE_OFFSET, FIXTURE_LENGTH, flags);
	if (result != -EPROTO || fixture->err.code != -EPROTO || !strstr(fixture->err.text, said))
		fail_msg("%s: %d, '%s' does not say '%s'", name, result, fixture->err.text, said);
	/* Not even a goodbye is said to who is out of step. */
	result = fixture_issue(fixture, command, FIXTURE_OFFSET, FIXTURE_LENGTH, flags);
	assert_int_equal(result, -EINVAL);
	fixture_finish(fixture);
}

void fixture_finish(struct fixture *fixture)
{
	scripted_client_close(fixture->client);
	assert_int_equal(peer_finish(fixture->peer), 0);
}

void fixture_leave(struct fixture *fixture)
{
	scripted_client_close(fixture->client);
	peer_finish(fixture->peer);
}

void fixture_check_failure(struct fixture *fixture, uint32_t option, const char *name, int code,
	const char *word)
{
	fixture_start(fixture);
	assert_int_equal(fixture_ask(fixture, option, name), code);
	fixture_check_error(fixture, code, word);
	fixture_finish(fixture);
}

void check_connect_fails(
	struct nbdt_uri *uri, unsigned int timeout, int code, const char *word)
{
	struct nbdt_client *client = NULL;
	struct nbdt_error err = { 0 };

	assert_int_equal(nbdt_client_connect(uri, timeout, &client, &err), code);
	assert_null(client);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, word))
		fail_msg("'%s' does not say '%s'", err.text, word);
	nbdt_uri_free(uri);
}

static void *serve_one(void *arg)
{
	struct greeter *greeter = arg;
	struct pollfd wait = { .fd = greeter->listener, .events = POLLIN };
	struct script *script = script_new();

	script_oldstyle(script, 4096, NBD_FLAG_HAS_FLAGS);
	if (poll(&wait, 1, 10000) == 1)
		peer_finish(peer_start_on(script, accept(greeter->listener, NULL, NULL)));
	free(script);
	return NULL;
}

void greeter_start(struct greeter *greeter, int listener)
{
	greeter->listener = listener;
	assert_int_equal(pthread_create(&greeter->thread, NULL, serve_one, greeter), 0);
}

void greeter_finish(struct greeter *greeter)
{
	pthread_join(greeter->thread, NULL);
	close(greeter->listener);
}

int connect_and_take(struct nbdt_uri *uri)
{
	struct nbdt_client *client = NULL;
	struct nbdt_error err = { 0 };

	if (nbdt_client_connect(uri, TIMEOUT, &client, &err))
		fail_msg("%s", err.text);
	int fd = nbdt_client_take_socket(client, NULL);
	assert_true(fd >= 0);
	nbdt_client_close(client);
	nbdt_uri_free(uri);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	return fd;
}
