/* SPDX-License-Identifier: Apache-2.0 */
/* Variables that clean up after themselves when they go out of scope. */
#ifndef NBDT_CLEANUP_H
#define NBDT_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_free_pointer(void *pointer)
{
	free(*(void **)pointer);
}

/* A descriptor, closed unless negative. */
#define CLEANUP_CLOSE __attribute__((cleanup(cleanup_close_fd)))
/* A pointer from malloc(), freed. */
#define CLEANUP_FREE __attribute__((cleanup(cleanup_free_pointer)))

#endif
