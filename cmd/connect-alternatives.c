/* SPDX-License-Identifier: Apache-2.0 */
/* Several addresses of one export, and waiting for a server that does not answer yet. */
#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "backoff.h"
#include "connect-session.h"
#include "notify.h"

/* Milliseconds between two rounds: each pause is twice the one before. */
#define FIRST_PAUSE 200
#define LONGEST_PAUSE 2000
/* What a server that is there takes for its answer, even at the end of the time. */
#define SHORTEST_TIMEOUT 1000

/* Nobody is there, for now. ENOENT is a Unix socket that does not exist yet. */
static bool may_come(int result)
{
	switch (-result) {
	case ECONNREFUSED:
	case ECONNRESET:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENOENT:
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

/* A later round's connections shall not outlast the time by much. */
static unsigned int choose_timeout(
	const struct connect_options *options, const struct backoff *limit)
{
	int64_t left = limit ? backoff_left(limit) : options->handshake_timeout;

	if (left < SHORTEST_TIMEOUT)
		left = SHORTEST_TIMEOUT;
	return left < options->handshake_timeout ? (unsigned int)left : options->handshake_timeout;
}

/*
 * Tries each alternative once: in the first round, without LIMIT, says what fails before the last
 * one. *HOPE: one of them may answer later.
 */
static int try_all(struct session *session, const struct connect_options *options,
	const struct backoff *limit, bool *hope, struct nbdt_error *err)
{
	int result = 0;

	*hope = false;
	for (size_t i = 0; i < options->uri_count; i++) {
		result = session_open(
			session, options->uris[i], options, choose_timeout(options, limit), err);
		if (!result)
			return 0;
		session_close(session);
		if (may_come(result))
			*hope = true;
		if (!limit && i + 1 < options->uri_count)
			say_warning("%s; trying the next address", err->text);
	}
	return result;
}

static void pause_within(const struct backoff *limit, int64_t longest)
{
	int64_t left = backoff_left(limit);
	int64_t milliseconds = left < longest ? left : longest;
	const struct timespec pause = {
		.tv_sec = milliseconds / 1000,
		.tv_nsec = milliseconds % 1000 * 1000000,
	};

	nanosleep(&pause, NULL);
}

/* The first round has failed, and ERR tells why. */
static int keep_trying(struct session *session, const struct connect_options *options,
	const struct backoff *limit, struct nbdt_error *err)
{
	int64_t pause = FIRST_PAUSE;
	int result = err->code;
	bool hope = true;

	say_warning("%s; trying again for %" PRIu64 " s", err->text, options->wait);
	notify(NULL, "waiting for a server: %s", err->text);
	while (result && hope && backoff_left(limit)) {
		pause_within(limit, pause);
		pause = pause * 2 < LONGEST_PAUSE ? pause * 2 : LONGEST_PAUSE;
		result = try_all(session, options, limit, &hope, err);
	}
	return result;
}

static void warn(const struct session *session, const struct connect_options *options)
{
	uint64_t rest = session->export.size - session->size;

	if (rest)
		say_warning("%s: the last %" PRIu64 " bytes do not fill a block of %u bytes and are"
			    " left out",
			session->source, rest, session->block_size);
	if (!options->read_only && (session->flags & NBDT_FLAG_READ_ONLY))
		say_warning("%s: the export is read-only", session->source);
	if (session->count < options->connections)
		say_warning("%s: the server does not allow several connections to one export;"
			    " using one",
			session->source);
}

enum command_status session_open_any(
	struct session *session, const struct connect_options *options)
{
	const struct backoff limit = backoff_start((int64_t)options->wait * 1000);
	struct nbdt_error err;
	bool hope;

	int result = try_all(session, options, NULL, &hope, &err);
	if (result && hope && options->wait)
		result = keep_trying(session, options, &limit, &err);
	if (result)
		return report(NULL, &err);
	warn(session, options);
	return STATUS_DONE;
}
