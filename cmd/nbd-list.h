/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-list's parts. */
#ifndef NBDT_NBD_LIST_H
#define NBDT_NBD_LIST_H

#include "command.h"
#include "table.h"
#include "tls-options.h"

enum list_mode {
	LIST_ALL,   /* devices, or a server's exports */
	LIST_MAP,
	LIST_SIZE,
	LIST_TEST,  /* --can, --is */
	LIST_CHECK,
};

struct list_options {
	enum list_mode mode;
	bool all;
	const char *operand;  /* or NULL */
	const char *socket;   /* -u, or NULL */
	const char *name;     /* -N, or NULL */
	const char *context;  /* --map */
	bool totals;
	const char *ability;  /* --can, --is */
	const char *device;   /* --check */
	unsigned int timeout; /* milliseconds, 0: not given */
	struct tls_options tls;
	struct table_options table;
};

/*
 * list-options.c: reads the command line; --help and such end here. OPTIONS has a mode in any case.
 */
enum command_status list_read_options(int argc, char **argv, struct list_options *options);

/* list-devices.c */
#define LIST_COLUMN_COUNT 13
extern const struct column list_columns[LIST_COLUMN_COUNT];

/* Lists this machine's devices: one (INDEX), the attached or opened ones, or with ALL all. */
enum command_status list_devices(int index, const struct list_options *options);

/* list-exports.c: lists a server and its exports, or the one export that URI names. */
enum command_status list_exports(const struct nbdt_uri *uri, const struct list_options *options);

/* list-map.c: prints an export's extents in a metadata context, or their totals. */
enum command_status list_map(const struct nbdt_uri *uri, const struct list_options *options);

/* list-test.c: prints an export's size; tells in *ANSWER whether it has the ability asked for. */
enum command_status list_size(const struct nbdt_uri *uri, const struct list_options *options);
enum command_status list_test(
	const struct nbdt_uri *uri, const struct list_options *options, bool *answer);

#endif
