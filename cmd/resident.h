/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a process that a device needs: nbd-loop's server, and any attachment by ioctl. */
#ifndef NBDT_RESIDENT_H
#define NBDT_RESIDENT_H

#include "command.h"

struct resident {
	int index;
	int ended;                       /* polls readable once the device is gone */
	int link;                        /* to a parent whose end detaches the device; -1: none */
	int signals;                     /* signalfd */
	struct nbdt_control *control;
	const struct nbdt_attachment *attachment;
	struct nbdt_device *device;      /* nbd-loop only, else NULL */
	struct nbdt_loopback *loopback;  /* nbd-loop only, else NULL */
	uint64_t timeout;                /* seconds that the kernel gives a request; 0: no limit */
	char *pid_file;                  /* for pid_file_remove() */
	bool stopping;                   /* asked to detach, but the device is in use */
};

/*
 * Blocks the signals that resident_run() handles; to be called before the first thread starts,
 * which then inherits that.
 */
int resident_block_signals(struct resident *resident);

/*
 * Serves signals, the control channel and the link until the device is gone; then ends what served
 * it, closes the image and removes the record.
 */
void resident_run(struct resident *resident);

#endif
