/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that may never return, made by a process that can be left behind. */
#ifndef NBDT_BOUNDED_H
#define NBDT_BOUNDED_H

#include <stdint.h>

/*
 * Calls WORK with ARG in a process of its own and returns its result (0 or a negative errno), or
 * -ETIMEDOUT once MILLISECONDS are over. WORK may do nothing but system calls, as after fork() in
 * a program with threads, and has no open descriptors. What it sets in memory is lost.
 * Other errors: those of clone(2) and pipe2(2); -EIO the process was killed.
 */
int bounded_run(int (*work)(const void *arg), const void *arg, int64_t milliseconds);

#endif
