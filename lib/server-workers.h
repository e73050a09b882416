/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of a connection that wait for storage in its place, while it goes on with other requests.
 */
#ifndef NBDT_SERVER_WORKERS_H
#define NBDT_SERVER_WORKERS_H

#include <stdbool.h>

struct slot;
struct workers;

/* EAGER: starts some threads now, instead of each when it is first needed. 0 or -ENOMEM. */
int workers_new(bool eager, struct workers **workers);
/* Has one of them call slot_work(). False: there is no thread, and none to be had. */
bool workers_submit(struct workers *workers, struct slot *slot);
/* Ends the threads. They must have nothing to do. NULL is fine. */
void workers_free(struct workers *workers);

#endif
