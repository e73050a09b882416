/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words to systemd, if it started us as a service with Type=notify (sd_notify(3)); otherwise each
 * does nothing. Without libsystemd, which would bring a server 3.4 MiB more to lock in memory.
 */
#ifndef NBDT_NOTIFY_H
#define NBDT_NOTIFY_H

/* To be called before the others. Our children do not inherit the way to systemd. */
void notify_open(void);

/* STATE is "READY=1", "STOPPING=1" or NULL; the status, which people see, is formatted. */
void notify(const char *state, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Before the end of a process that is not to stay: waits up to five seconds until systemd has read
 * all this, or it might not know any more from whom it came.
 */
void notify_close(void);

#endif
