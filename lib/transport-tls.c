/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The encrypted transport. GnuTLS reads from a buffer that is filled by large receives, and writes
 * into one that is emptied by large sends.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls.h"

/* Bytes that are encrypted before the socket is offered them. */
#define BATCH (4 * TLS_RECORD)
/* Records without data in a row (tickets, changes of keys): an honest peer sends a few. */
#define EMPTY_RECORDS 100
/* Records that one receive takes at most, so that its caller sees a deadline pass. */
#define RECORDS 64
/*
 * Bytes from one record with data to the next, or of the whole handshake. GnuTLS has the same limit
 * for a handshake, but gathers each message first, and that may have 16 MiB.
 */
#define WITHOUT_DATA ((size_t)128 * 1024)

static bool reserve(struct tls_transport *tls, size_t size)
{
	size_t needed;

	if (__builtin_add_overflow(tls->output_end, size, &needed))
		return false;
	if (needed <= tls->output_size)
		return true;
	unsigned char *larger = realloc(tls->output, needed);
	if (!larger)
		return false;
	tls->output = larger;
	tls->output_size = needed;
	return true;
}

/* GnuTLS's send. All that one side says without being read is a handshake's flight, or a BATCH. */
static ssize_t push(gnutls_transport_ptr_t arg, const giovec_t *vector, int count)
{
	struct tls_transport *tls = arg;
	size_t total = 0;

	for (int i = 0; i < count; i++)
		total += vector[i].iov_len;
	if (!reserve(tls, total)) {
		tls->socket_error = -ENOMEM;
		gnutls_transport_set_errno(tls->session, ENOMEM);
		return -1;
	}
	for (int i = 0; i < count; i++) {
		memcpy(tls->output + tls->output_end, vector[i].iov_base, vector[i].iov_len);
		tls->output_end += vector[i].iov_len;
	}
	return (ssize_t)total;
}

static ssize_t fill_input(struct tls_transport *tls)
{
	ssize_t got;

	do
		got = recv(tls->transport.fd, tls->input, sizeof(tls->input), MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got > 0) {
		tls->input_begin = 0;
		tls->input_end = (size_t)got;
	} else if (!got) {
		tls->hung_up = true;
	} else {
		tls->dry = errno == EAGAIN;
		tls->socket_error = -errno;
		gnutls_transport_set_errno(tls->session, errno);
	}
	return got;
}

/* GnuTLS's receive. */
static ssize_t pull(gnutls_transport_ptr_t arg, void *buffer, size_t size)
{
	struct tls_transport *tls = arg;

	if (tls->input_begin == tls->input_end) {
		ssize_t got = fill_input(tls);

		if (got <= 0)
			return got;
	}
	size_t there = tls->input_end - tls->input_begin;
	if (size > there)
		size = there;
	tls->without_data += size;
	if (tls->without_data > WITHOUT_DATA) {
		tls->transport.reason = "too much was sent that is no data";
		tls->socket_error = -EPROTO;
		gnutls_transport_set_errno(tls->session, EPROTO);
		return -1;
	}
	memcpy(buffer, tls->input + tls->input_begin, size);
	tls->input_begin += size;
	return (ssize_t)size;
}

int tls_flush(struct tls_transport *tls)
{
	while (tls->output_begin < tls->output_end) {
		ssize_t sent = send(tls->transport.fd, tls->output + tls->output_begin,
			tls->output_end - tls->output_begin, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent >= 0)
			tls->output_begin += (size_t)sent;
		else if (errno != EINTR)
			return -errno;
	}
	tls->output_begin = 0;
	tls->output_end = 0;
	return 0;
}

static bool is_alert(int code)
{
	return code == GNUTLS_E_FATAL_ALERT_RECEIVED || code == GNUTLS_E_WARNING_ALERT_RECEIVED;
}

int tls_fail(struct tls_transport *tls, int code)
{
	if (is_alert(code)) {
		const char *name = gnutls_alert_get_name(gnutls_alert_get(tls->session));

		tls->transport.reason = name ? name : "Unknown alert";
		tls->failure = -EREMOTEIO;
	} else if (tls->hung_up) {
		tls->failure = -ECONNRESET;
	} else if (code == GNUTLS_E_PUSH_ERROR || code == GNUTLS_E_PULL_ERROR) {
		tls->failure = tls->socket_error;
	} else {
		tls->transport.reason = gnutls_strerror(code);
		tls->failure = code == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EPROTO;
		gnutls_alert_send_appropriate(tls->session, code);
		tls_flush(tls);
	}
	return tls->failure;
}

/*
 * One record's data. GnuTLS's AGAIN may come from a record that had none. A stream that ends
 * without a goodbye has ended all the same: our protocol knows what is whole.
 */
static ssize_t receive_record(struct tls_transport *tls, void *buffer, size_t size)
{
	for (int i = 0; i < EMPTY_RECORDS; i++) {
		tls->dry = false;
		ssize_t got = gnutls_record_recv(tls->session, buffer, size);

		if (got > 0) {
			tls->without_data = 0;
			return got;
		}
		if (got == GNUTLS_E_AGAIN && tls->dry)
			return -EAGAIN;
		if (!got || (tls->hung_up && !is_alert((int)got))) {
			tls->ended = true;
			return 0;
		}
		if (got != GNUTLS_E_AGAIN && got != GNUTLS_E_INTERRUPTED)
			return tls_fail(tls, (int)got);
	}
	return tls_fail(tls, GNUTLS_E_TOO_MANY_EMPTY_PACKETS);
}

static ssize_t tls_receive(struct transport *transport, void *buffer, size_t size)
{
	struct tls_transport *tls = (struct tls_transport *)transport;
	size_t done = 0;
	ssize_t got = 1;

	for (int i = 0; i < RECORDS && done < size && !tls->ended && !tls->failure; i++) {
		got = receive_record(tls, (char *)buffer + done, size - done);
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	if (done)
		return (ssize_t)done;
	if (tls->failure)
		return tls->failure;
	return tls->ended ? 0 : got;
}

/* Where the caller's vector was taken up to. */
struct cursor {
	const struct iovec *at;
	int left;    /* elements, this one included */
	size_t done; /* bytes of this one */
};

static size_t copy_together(struct cursor *cursor, unsigned char *to)
{
	size_t length = 0;

	while (cursor->left && length < TLS_RECORD) {
		size_t size = cursor->at->iov_len - cursor->done;

		if (size > TLS_RECORD - length)
			size = TLS_RECORD - length;
		memcpy(to + length, (char *)cursor->at->iov_base + cursor->done, size);
		length += size;
		cursor->done += size;
		if (cursor->done < cursor->at->iov_len)
			break;
		cursor->at++;
		cursor->left--;
		cursor->done = 0;
	}
	return length;
}

/*
 * The next record's contents: small pieces together, which is cheaper than a record for each, and
 * large ones where they are. 0: all was taken.
 */
static size_t next_record(struct tls_transport *tls, struct cursor *cursor, const void **contents)
{
	if (!cursor->left)
		return 0;
	if (cursor->at->iov_len - cursor->done < TLS_RECORD) {
		*contents = tls->record;
		return copy_together(cursor, tls->record);
	}
	*contents = (char *)cursor->at->iov_base + cursor->done;
	cursor->done += TLS_RECORD;
	return TLS_RECORD;
}

static ssize_t encrypt(struct tls_transport *tls, const struct iovec *vector, int count)
{
	struct cursor cursor = { .at = vector, .left = count };
	const void *contents;
	size_t taken = 0;

	while (taken < BATCH) {
		size_t size = next_record(tls, &cursor, &contents);
		if (!size)
			break;
		ssize_t sent = gnutls_record_send(tls->session, contents, size);
		if (sent < 0)
			return tls_fail(tls, (int)sent);
		taken += (size_t)sent;
		/* The peer wants smaller records; the rest is for another call. */
		if ((size_t)sent < size)
			break;
	}
	return (ssize_t)taken;
}

/* A peer that hangs up has often said why, before what we sent. */
static int explain_hangup(struct tls_transport *tls, int result)
{
	if (result != -EPIPE && result != -ECONNRESET)
		return result;
	while (!tls->failure && !tls->ended
		&& receive_record(tls, tls->record, sizeof(tls->record)) > 0)
		;
	return tls->transport.reason ? tls->failure : result;
}

/*
 * What is encrypted cannot be taken back: bytes are reported as taken once the socket has them, and
 * until then -EAGAIN makes the caller wait for it.
 */
static ssize_t tls_send(struct transport *transport, const struct iovec *vector, int count)
{
	struct tls_transport *tls = (struct tls_transport *)transport;

	if (tls->failure)
		return tls->failure;
	if (tls->hung_up)
		return -EPIPE;
	int result = tls_flush(tls);
	if (!result && !tls->held) {
		ssize_t taken = encrypt(tls, vector, count);

		if (taken < 0)
			return taken;
		tls->held = (size_t)taken;
		result = tls_flush(tls);
	}
	if (result == -EAGAIN)
		return result;
	if (result) {
		tls->failure = explain_hangup(tls, result);
		return tls->failure;
	}
	ssize_t taken = (ssize_t)tls->held;
	tls->held = 0;
	return taken;
}

/* Part of a record is nothing that a receive could give: GnuTLS keeps it, poll() shows the rest. */
static bool tls_pending(struct transport *transport)
{
	const struct tls_transport *tls = (const struct tls_transport *)transport;

	return tls->input_begin != tls->input_end || gnutls_record_check_pending(tls->session);
}

/* The goodbye is sent if there is room for it, and not waited for. */
static void tls_close(struct transport *transport)
{
	struct tls_transport *tls = (struct tls_transport *)transport;

	if (!tls->failure) {
		gnutls_bye(tls->session, GNUTLS_SHUT_WR);
		tls_flush(tls);
	}
	gnutls_deinit(tls->session);
	if (transport->fd >= 0)
		close(transport->fd);
	free(tls->output);
	free(tls);
}

static const struct transport_ops tls_ops = {
	.receive = tls_receive,
	.send = tls_send,
	.pending = tls_pending,
	.close = tls_close,
};

struct tls_transport *transport_tls(int fd, gnutls_session_t session)
{
	struct tls_transport *tls = calloc(1, sizeof(*tls));

	if (!tls) {
		gnutls_deinit(session);
		close(fd);
		return NULL;
	}
	tls->transport.ops = &tls_ops;
	tls->transport.fd = fd;
	tls->session = session;
	gnutls_transport_set_ptr(session, tls);
	gnutls_transport_set_vec_push_function(session, push);
	gnutls_transport_set_pull_function(session, pull);
	return tls;
}
