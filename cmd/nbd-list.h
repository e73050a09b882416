/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-list's parts. */
#ifndef NBDT_NBD_LIST_H
#define NBDT_NBD_LIST_H

#include "command.h"
#include "table.h"

#define LIST_COLUMN_COUNT 13
extern const struct column list_columns[LIST_COLUMN_COUNT];

/* Lists this machine's devices: one (INDEX), the attached or opened ones, or with FREE_TOO all. */
enum command_status list_devices(int index, bool free_too, const struct table_options *options);

/*
 * Lists a server and its exports, or the one export that URI names; TIMEOUT in milliseconds bounds
 * the whole. JSON or text.
 */
enum command_status list_exports(struct nbdt_uri *uri, unsigned int timeout, bool json);

#endif
