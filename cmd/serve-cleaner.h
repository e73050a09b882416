/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stays root when nbd-serve has given that up: a process that can do nothing but remove the
 * socket and the pid file, once it is told to or the server is gone, however that ended.
 */
#ifndef NBDT_SERVE_CLEANER_H
#define NBDT_SERVE_CLEANER_H

#include "command.h"

struct cleaner {
	pid_t pid; /* 0: there is none */
	int link;
};

/*
 * SOCKET and PID_FILE are absolute paths, or NULL. To be called while root, without other threads.
 * Says what goes wrong.
 */
enum command_status cleaner_start(
	struct cleaner *cleaner, const char *socket, const char *pid_file);
/* Removes the socket. */
void cleaner_remove_socket(const struct cleaner *cleaner);
/* Removes the rest, and ends it. */
void cleaner_finish(struct cleaner *cleaner);

#endif
