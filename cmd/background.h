/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going into the background without losing errors: the parent waits until the child is ready or
 * has failed, so that the command's exit status is true.
 */
#ifndef NBDT_BACKGROUND_H
#define NBDT_BACKGROUND_H

#include "command.h"

/* What the child tells when it is ready, or why not; it has printed its errors itself. */
struct readiness {
	enum command_status status;
	int index; /* of the device, if status is STATUS_DONE and there is one */
	bool already; /* it was attached before */
};

/*
 * Forks a child that leads a session of its own, has the standard descriptors (stdin on /dev/null)
 * and *LINK, and no others. Returns 0 in the child. In the parent returns the child's
 * pid, and *LINK is the other end: its closing tells the child that the parent is gone. A negative
 * errno when it cannot fork.
 */
int background_fork(int *link);

/*
 * The child: tells that it is ready or failed. -EPIPE: the parent is gone, and nobody will know of
 * the device.
 */
int background_report(int link, const struct readiness *readiness);

/* The parent: waits for that. A child that dies first is a failure, which is said here. */
struct readiness background_wait(int link);

/* The child, once it is ready: no terminal any more, no folder held, words to syslog. */
void background_settle(void);

#endif
