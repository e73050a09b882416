/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aligned buffers for the data of requests, out of one arena that is mapped once: a connection
 * can never hold more than its budget, and nothing is allocated while it serves. Used by one
 * thread.
 */
#ifndef NBDT_BUFFERS_H
#define NBDT_BUFFERS_H

#include <stddef.h>

#define BUFFER_ALIGNMENT 4096u
#define BUFFER_MAXIMUM ((size_t)32 * 1024 * 1024)

struct buffers;

/*
 * BUDGET: bytes, rounded up to a buffer of the maximal size at least, so that every request can
 * be served once the others are done. WARM: so many bytes, the first to be handed out, are touched
 * now, and locked in memory as far as the process may, for a server that must not wait for memory
 * while the kernel waits for it.
 * Errors: -ENOMEM.
 */
int buffers_new(size_t budget, size_t warm, struct buffers **buffers);

/*
 * A buffer of at least SIZE bytes, aligned to BUFFER_ALIGNMENT. NULL: not now, or larger than
 * BUFFER_MAXIMUM.
 */
void *buffers_get(struct buffers *buffers, size_t size);
/* NULL is fine. */
void buffers_put(struct buffers *buffers, void *buffer);

/* NULL is fine. */
void buffers_free(struct buffers *buffers);

#endif
