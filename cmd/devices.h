/* SPDX-License-Identifier: Apache-2.0 */
/* This machine's NBD devices: what the kernel says of them and what our records add. */
#ifndef NBDT_DEVICES_H
#define NBDT_DEVICES_H

#include "command.h"

struct known_device {
	struct nbdt_device_info info;
	bool has_record; /* of this attachment, not of an earlier one */
	bool dead;       /* its server or keeper is gone */
	struct nbdt_record record;
};

/* Reads all devices; *DEVICES is for free_devices(). */
int read_devices(struct known_device **devices, size_t *count, struct nbdt_error *err);
void free_devices(struct known_device *devices, size_t count);

bool is_attached(const struct known_device *device);
/* "connected", "dead", "open", "in-use-after-disconnect", "free". */
const char *device_state(const struct known_device *device);
/* "loop", "remote", "foreign", or NULL while it is free. */
const char *device_kind(const struct known_device *device);
/* Where its data come from, or NULL if nobody knows. */
const char *device_source(const struct known_device *device);
/* The process that serves or keeps it, else the one that attached it; 0: none. */
pid_t device_pid(const struct known_device *device);

/*
 * nbd-client -c: 0 the device is connected, and the kernel's process number for it is printed;
 * 1 not; 2 an error, which was said. That is the exit status.
 */
int check_device(const char *text);

/* True if the device is attached to this file (same device and inode) or has this source. */
bool device_has_source(const struct known_device *device, const char *source);

/* What --idempotent is content with. */
struct device_wish {
	const char *entry;           /* or NULL */
	const char *source;
	int index;                   /* or NBDT_INDEX_ANY */
	uint64_t offset, size_limit; /* bytes, of an image */
};

/*
 * The number of a live device that was attached by the entry or, where one of both has none, to the
 * source; -ENODEV: there is none.
 */
int find_device(const struct device_wish *wish);

/*
 * Prints the path of a device that was attached for the caller. If he cannot be told its name, it
 * is detached again, unless it was there already.
 */
enum command_status tell_device(int index, bool already);

#endif
