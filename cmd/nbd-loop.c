/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd-loop: an image file as a block device. Operands in; the options are in loop-options.c, the
 * work is in loop-attach.c, loop-detach.c and loop-list.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "nbd-loop.h"

/*
 * Seconds. With one connection the server switches the kernel's timeout off while a request is
 * slow; with several the kernel cannot be told to wait, so they get more time.
 */
#define TIMEOUT_SINGLE 30
#define TIMEOUT_SEVERAL 120

/* A device's operand, or a file's: exactly one of two may be a device. */
static enum command_status read_operands(struct loop_arguments *arguments)
{
	struct loop_options *attach = &arguments->attach;

	if (arguments->operand_count > 2)
		return usage_error("one FILE and at most one DEVICE");
	for (int i = 0; i < arguments->operand_count; i++) {
		int index = nbdt_device_parse(arguments->operands[i], false);

		if (index >= 0 && attach->index != NBDT_INDEX_ANY)
			return usage_error("only one operand may name a device");
		if (index >= 0)
			attach->index = index;
		else if (attach->file)
			return usage_error("only one FILE; %s does not name an NBD device",
				arguments->operands[i]);
		else
			attach->file = arguments->operands[i];
	}
	return STATUS_DONE;
}

static enum command_status attach(struct loop_options *options)
{
	options->image.file.share = options->force;
	if (options->timeout == LOOP_TIMEOUT_UNSET)
		options->timeout = options->connections > 1 ? TIMEOUT_SEVERAL : TIMEOUT_SINGLE;
	return loop_attach(options);
}

static enum command_status attach_operands(struct loop_arguments *arguments)
{
	enum command_status status = read_operands(arguments);

	if (status)
		return status;
	if (!arguments->attach.file)
		return usage_error("no FILE to attach");
	return attach(&arguments->attach);
}

static enum command_status read_arguments(int argc, char **argv, void *arguments)
{
	return loop_read_arguments(argc, argv, arguments);
}

/* The entry's options, then those of the command line. */
static enum command_status attach_found(
	int argc, char **argv, struct loop_arguments *arguments, const struct nbdt_entry *entry)
{
	loop_set_defaults(arguments);
	enum command_status status = entry_read_options(entry, read_arguments, arguments);
	if (!status)
		status = loop_read_arguments(argc, argv, arguments);
	if (!status)
		status = read_operands(arguments);
	if (status)
		return status;
	if (arguments->attach.file)
		return usage_error("--entry takes a DEVICE beside it, but no FILE");
	arguments->attach.entry = entry->name;
	arguments->attach.file = entry->sources[0];
	if (arguments->attach.index == NBDT_INDEX_ANY)
		arguments->attach.index = entry->index;
	return attach(&arguments->attach);
}

static enum command_status attach_entry(int argc, char **argv, struct loop_arguments *arguments)
{
	char name[NBDT_MAX_ENTRY_NAME + 1];
	struct nbdt_entry entry = { 0 };
	struct nbdt_error err;

	if (arguments->mode != LOOP_DEFAULT)
		return usage_error("--entry only attaches");
	enum command_status status = entry_read_name(arguments->entry, name);
	if (status)
		return status;
	if (entry_find(name, &entry, &err))
		status = entry_report(&err);
	else if (entry.kind != NBDT_KIND_LOOP)
		status = usage_error("%s: its entry has no image file; nbd-connect attaches it",
			name);
	else
		status = attach_found(argc, argv, arguments, &entry);
	nbdt_entry_clear(&entry);
	return status;
}

static enum command_status detach_or_resize(
	const struct loop_arguments *arguments, const char *operand)
{
	return arguments->mode == LOOP_RESIZE ? loop_resize(operand)
					      : loop_detach(operand, arguments->attach.force);
}

static enum command_status for_each_operand(const struct loop_arguments *arguments)
{
	enum command_status status = STATUS_DONE;

	if (!arguments->operand_count)
		return usage_error("no DEVICE");
	for (int i = 0; i < arguments->operand_count; i++)
		status = worse_status(
			status, detach_or_resize(arguments, arguments->operands[i]));
	return status;
}

static enum command_status list_operands(struct loop_arguments *arguments, bool bare)
{
	if (arguments->operand_count > 1)
		return usage_error("at most one DEVICE");
	if (arguments->operand_count) {
		arguments->filter.index = nbdt_device_parse(arguments->operands[0], bare);
		if (arguments->filter.index < 0)
			return usage_error("%s: not an NBD device", arguments->operands[0]);
	}
	return loop_list(&arguments->filter, &arguments->table);
}

static enum command_status run(int argc, char **argv, struct loop_arguments *arguments)
{
	if (arguments->entry)
		return attach_entry(argc, argv, arguments);
	switch (arguments->mode) {
	case LOOP_DETACH:
	case LOOP_RESIZE:
		return for_each_operand(arguments);
	case LOOP_DETACH_ALL:
		return loop_detach_all(arguments->attach.force);
	case LOOP_LIST:
		return list_operands(arguments, true);
	case LOOP_ASSOCIATED:
		if (arguments->table.json || table_is_asked_for(&arguments->table))
			return loop_list(&arguments->filter, &arguments->table);
		return loop_list_associated(&arguments->filter);
	case LOOP_DEFAULT:
		break;
	}
	if (arguments->find && !arguments->operand_count)
		return usage_error("-f alone finds a device that another may take next;"
				   " 'nbd-loop FILE' finds and attaches in one step");
	bool only_device = arguments->operand_count == 1 && !arguments->attach.command
			   && nbdt_device_parse(arguments->operands[0], false) >= 0;
	if (!arguments->operand_count && !arguments->attach.command)
		return list_operands(arguments, false);
	if (only_device)
		return list_operands(arguments, false);
	return attach_operands(arguments);
}

int main(int argc, char **argv)
{
	struct loop_arguments arguments;

	open_standard_descriptors();
	loop_set_defaults(&arguments);
	enum command_status status = loop_read_arguments(argc, argv, &arguments);
	if (!status)
		status = run(argc, argv, &arguments);
	return (int)finish_stdout(status);
}
