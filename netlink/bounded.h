/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that may never return, made by a process that can be left behind. */
#ifndef NBDT_BOUNDED_H
#define NBDT_BOUNDED_H

#include <stdint.h>

/*
 * Calls WORK with ARG in a process of its own and returns its result, or -ETIMEDOUT once
 * MILLISECONDS are over. The result is 0, a negative errno, or a descriptor that WORK has opened:
 * it is handed over, close-on-exec, for the caller to close. WORK may do nothing but system calls,
 * as after fork() in a program with threads, and begins without open descriptors. What it sets in
 * memory is lost.
 * Other errors: those of clone(2) and socketpair(2); -EIO the process was killed.
 */
int bounded_run(int (*work)(const void *arg), const void *arg, int64_t milliseconds);

#endif
