/* SPDX-License-Identifier: Apache-2.0 */
/* For the client's tests: a server that says and expects what a script says, in a thread. */
#ifndef SCRIPTED_PEER_H
#define SCRIPTED_PEER_H

#include "script.h"

struct peer;
/* Plays the script, which must live as long, on one end of a socketpair; *SOCKET is the other. */
struct peer *peer_start(const struct script *script, int *socket);
/* Plays it on a connected socket. */
struct peer *peer_start_on(const struct script *script, int fd);
/*
 * Waits until the client has left. 0: all of the script was played, and the client said nothing
 * more. Otherwise the number of the first step, from 1, that went wrong; one more than there are:
 * the client said more.
 */
size_t peer_finish(struct peer *peer);

#endif
