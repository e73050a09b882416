/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of memory limits: what a thread has allocated at most, libraries included. */
#ifndef HEAP_H
#define HEAP_H

#include <stddef.h>

/* Counts from now on, for the calling thread alone. */
void heap_watch(void);
/* Ends that. The most bytes that there were at once, beyond those from before. */
size_t heap_peak(void);

#endif
