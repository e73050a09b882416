/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-loop's options, as its parts share them. */
#ifndef NBDT_NBD_LOOP_H
#define NBDT_NBD_LOOP_H

#include "image.h"
#include "table.h"

#define LOOP_TIMEOUT_UNSET UINT64_MAX

struct loop_options {
	char *entry; /* name of the entry that it comes from, or NULL */
	const char *file;
	int index; /* or NBDT_INDEX_ANY */
	struct image_options image;
	uint32_t block_size; /* bytes; 0: the default */
	unsigned int connections;
	uint64_t timeout; /* seconds, or LOOP_TIMEOUT_UNSET */
	bool ioctl;
	bool idempotent; /* attached already is fine */
	bool force; /* attach or detach although it is in use */
	bool foreground;
	const char *pid_file;
	char **command; /* captive: to run while attached; NULL: none */
};

enum loop_mode {
	LOOP_DEFAULT, /* attach, or list without a FILE */
	LOOP_DETACH,
	LOOP_DETACH_ALL,
	LOOP_LIST,
	LOOP_ASSOCIATED,
	LOOP_RESIZE,
};

/* A condition for listing loop devices. */
struct loop_filter {
	int index;           /* or NBDT_INDEX_ANY */
	const char *file;    /* or NULL */
	bool has_offset;
	uint64_t offset;     /* bytes */
};

struct loop_arguments {
	enum loop_mode mode;
	bool find;         /* -f, which makes no sense alone */
	const char *entry; /* --entry, or NULL */
	struct loop_options attach;
	struct loop_filter filter;
	struct table_options table;
	char **operands;
	int operand_count;
};

/* loop-options.c: reads a command line, over ARGUMENTS as they are. --help and such end here. */
void loop_set_defaults(struct loop_arguments *arguments);
enum command_status loop_read_arguments(
	int argc, char **argv, struct loop_arguments *arguments);

/* Attaches in the background or foreground, prints the device, or runs the command. */
enum command_status loop_attach(const struct loop_options *options);

/*
 * The captive form: runs COMMAND while device INDEX is there, then detaches. LINK is the end of
 * background_fork(). Returns the exit status of nbd-loop.
 */
int run_captive(char **command, int index, int link);

/* Detaches what OPERAND names, a device or a file, or all; only loop devices. */
enum command_status loop_detach(const char *operand, bool force);
enum command_status loop_detach_all(bool force);

/* Makes the server of device OPERAND take over a changed size of its file. */
enum command_status loop_resize(const char *operand);

/* Lists loop devices. */
#define LOOP_COLUMN_COUNT 17
extern const struct column loop_columns[LOOP_COLUMN_COUNT];
enum command_status loop_list(
	const struct loop_filter *filter, const struct table_options *options);

/* -j: one line for each device of the file, in losetup's form, path first. */
enum command_status loop_list_associated(const struct loop_filter *filter);

#endif
