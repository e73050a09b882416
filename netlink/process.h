/* SPDX-License-Identifier: Apache-2.0 */
/* A process named by its number and its start time, which no later process shares. */
#ifndef NBDT_PROCESS_H
#define NBDT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Takes state (field 3) and start time in ticks (field 22) out of the text of /proc/PID/stat
 * (proc(5)). -EINVAL it is none.
 */
int process_parse_stat(const char *text, char *state, uint64_t *start_time);

/* Start time of a process. -ESRCH it is gone, or dead and not yet waited for. */
int process_start_time(pid_t pid, uint64_t *start_time);

/* True if the process that had this number and this start time is still running. */
bool process_is_running(pid_t pid, uint64_t start_time);

/* True if THREAD is a thread of process PID. */
bool process_has_thread(pid_t pid, pid_t thread);

#endif
