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

#endif
