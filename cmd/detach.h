/* SPDX-License-Identifier: Apache-2.0 */
/* Detaching one device or several, as nbd-disconnect and nbd-loop have it. */
#ifndef NBDT_DETACH_H
#define NBDT_DETACH_H

#include "devices.h"

struct detach_wish {
	bool force;           /* also a device that is mounted or held */
	bool idempotent;      /* one that is not connected is no error */
	unsigned int timeout; /* as in struct nbdt_detach_options */
	uint64_t wait;        /* seconds for users to go */
};

/* Detaches a device, whatever it is attached to, and says what goes wrong. */
enum command_status detach_device(int index, const struct detach_wish *wish);

/*
 * Detaches every device that MATCHES TEXT, those that lie on others before these. *FOUND counts
 * them. One that another is attached to by then, or that has gone by itself, is left alone.
 */
enum command_status detach_matching(
	bool (*matches)(const struct known_device *device, const char *text), const char *text,
	const struct detach_wish *wish, size_t *found);

#endif
