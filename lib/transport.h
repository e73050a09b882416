/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transport moves bytes for a handshake or an engine: by a plain socket, or by TLS (tls.h).
 * Handshake and engine know only this table.
 */
#ifndef NBDT_TRANSPORT_H
#define NBDT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "nbdtools.h"

struct transport;

struct transport_ops {
	/*
	 * One receive of up to SIZE bytes: their number, 0 at the end of the stream, -EAGAIN, or a
	 * negative errno. Never waits.
	 */
	ssize_t (*receive)(struct transport *transport, void *buffer, size_t size);
	/*
	 * One send of a vector, which is not changed: bytes taken, -EAGAIN, or a negative errno.
	 * Never waits. After -EAGAIN, the next vector begins with the same bytes: they may have
	 * been encrypted already.
	 */
	ssize_t (*send)(struct transport *transport, const struct iovec *vector, int count);
	/* True if a receive would find bytes that poll() on the descriptor does not show. */
	bool (*pending)(struct transport *transport);
	/*
	 * Says goodbye on its own level, closes the descriptor (if it still owns one), and frees.
	 */
	void (*close)(struct transport *transport);
};

struct transport {
	const struct transport_ops *ops;
	int fd; /* to poll() on; -1 after transport_release() */
	/* After an error of the transport's own level, its cause in words; or NULL. */
	const char *reason;
};

/*
 * Owns FD from then on. Sets TCP_NODELAY where it applies. NULL: no memory, and FD is still the
 * caller's.
 */
struct transport *transport_plain(int fd);

/* Takes the descriptor out; only close is allowed afterwards. */
int transport_release(struct transport *transport);
void transport_close(struct transport *transport);

/*
 * Says why TRANSPORT failed, which has a reason, with RESULT; PEER: whom the sentence is about.
 * Returns RESULT, or -ECONNRESET where the peer hung up and said why.
 */
int transport_explain(const struct transport *transport, const char *peer, int result,
	struct nbdt_error *err);

/*
 * A point in time after which waiting ends. NEVER: no limit.
 */
typedef int64_t deadline_t; /* milliseconds of CLOCK_MONOTONIC */
#define DEADLINE_NEVER INT64_MAX
deadline_t deadline_after(unsigned int milliseconds);
/* Milliseconds left, for poll(): -1 without limit, 0 when over. */
int deadline_left(deadline_t deadline);

/*
 * Waits for EVENTS (POLLIN, POLLOUT) on the transport. WAKE, unless -1, is a second descriptor
 * whose readability ends the wait. 0 ready; -ETIMEDOUT; -EINTR when WAKE became readable.
 */
int transport_wait(struct transport *transport, short events, int wake, deadline_t deadline);

/*
 * Receives exactly SIZE bytes, or sends a whole vector. The vector is used up. Errors: -ETIMEDOUT,
 * -EINTR when WAKE became readable, -EPIPE the stream ended before the first byte, -ECONNRESET it
 * ended inside, or the transport's.
 */
int transport_receive_all(
	struct transport *transport, void *buffer, size_t size, int wake, deadline_t deadline);
int transport_send_all(struct transport *transport, struct iovec *vector, int count, int wake,
	deadline_t deadline);

#endif
