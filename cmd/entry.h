/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of /etc/nbdtab, /etc/nbd and hotplug, as the commands use them. */
#ifndef NBDT_ENTRY_COMMAND_H
#define NBDT_ENTRY_COMMAND_H

#include "command.h"

/*
 * The name that --entry gives. systemd's units write '/' for '-' where they unescape an instance's
 * name (%I), and no name has a '/'. Says what is wrong.
 */
enum command_status entry_read_name(const char *argument, char name[NBDT_MAX_ENTRY_NAME + 1]);

/* nbdt_entry_find() among all entries of this machine; says nothing. */
int entry_find(const char *name, struct nbdt_entry *entry, struct nbdt_error *err);

/*
 * The devices that entries are bound to, for free(): who leaves the choice to the kernel shall not
 * get one of them. NULL and 0 where there are none, or they cannot be read.
 */
int *entry_reserved_devices(size_t *count);

/* Says why an entry cannot be used, and returns the status for it. */
enum command_status entry_report(const struct nbdt_error *err);

/*
 * Has READ take the entry's options as it takes those of a command line, without operands; what it
 * says begins with where the entry stands. What it keeps of them lives as long as the entry.
 */
enum command_status entry_read_options(const struct nbdt_entry *entry,
	enum command_status (*read)(int argc, char **argv, void *arguments), void *arguments);

#endif
