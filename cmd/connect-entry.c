/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-connect NAME: what an entry of /etc/nbdtab or /etc/nbd stands for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "entry.h"
#include "nbd-connect.h"

#define LOOP_PROGRAM "nbd-loop"

/*
 * Writes the name of the entry that is meant into NAME; "" if it can only be a host or a URI. A
 * device alone is meant as the entry of that name, as nbd-client has it.
 */
static enum command_status choose_name(
	const struct connect_arguments *arguments, char name[NBDT_MAX_ENTRY_NAME + 1])
{
	const char *operand = arguments->operand_count == 1 ? arguments->operands[0] : NULL;

	*name = '\0';
	if (arguments->entry && (arguments->socket || arguments->name || arguments->operand_count))
		return usage_error("--entry takes a DEVICE beside it, but no other address");
	if (arguments->entry)
		return entry_read_name(arguments->entry, name);
	if (arguments->socket || arguments->name)
		return STATUS_DONE;
	if (operand && nbdt_entry_name_valid(operand))
		snprintf(name, NBDT_MAX_ENTRY_NAME + 1, "%s", operand);
	else if (!arguments->operand_count && arguments->connect.index != NBDT_INDEX_ANY)
		snprintf(name, NBDT_MAX_ENTRY_NAME + 1, "nbd%d", arguments->connect.index);
	return STATUS_DONE;
}

static enum command_status read_arguments(int argc, char **argv, void *arguments)
{
	return connect_read_arguments(argc, argv, arguments);
}

/* The entry's options, then those of the command line. */
static enum command_status merge(
	struct connect_arguments *arguments, int argc, char **argv, const struct nbdt_entry *entry)
{
	int given = arguments->connect.index;

	connect_set_defaults(arguments);
	enum command_status status = entry_read_options(entry, read_arguments, arguments);
	if (!status)
		status = connect_read_arguments(argc, argv, arguments);
	arguments->connect.entry = entry->name;
	arguments->connect.index = given != NBDT_INDEX_ANY ? given : entry->index;
	arguments->operands = entry->sources;
	arguments->operand_count = 0;
	while (entry->sources[arguments->operand_count])
		arguments->operand_count++;
	return status;
}

/* The nbd-loop beside this program, or else that of PATH. */
static void exec_loop(char **argv)
{
	CLEANUP_FREE char *self = realpath("/proc/self/exe", NULL);
	CLEANUP_FREE char *path = NULL;
	char *slash = self ? strrchr(self, '/') : NULL;

	if (slash && asprintf(&path, "%.*s/" LOOP_PROGRAM, (int)(slash - self), self) >= 0)
		execv(path, argv);
	else
		path = NULL;
	execvp(LOOP_PROGRAM, argv);
	say_error(LOOP_PROGRAM ": %s", strerrordesc_np(errno));
}

/* nbd-loop finds the entry again by itself. */
static enum command_status become_loop(
	const struct connect_arguments *arguments, const struct nbdt_entry *entry)
{
	CLEANUP_FREE char *name = NULL;
	char device[DEVICE_PATH_SIZE];
	char foreground[] = "--foreground", idempotent[] = "--idempotent";
	char quiet[] = "--quiet", verbose[] = "--verbose", marked[] = "@" LOOP_PROGRAM;
	/* With that mark we, and so the server, survive the last kill of a shutdown. */
	bool is_marked = *program_invocation_name == '@';
	char *argv[7] = { is_marked ? marked : marked + 1 };
	int count = 1;

	if (arguments->only_for_exports)
		return usage_error("%s is an entry with an image file: of the options only"
				   " --foreground, --idempotent, --wait, -q and -v fit it",
			entry->name);
	if (asprintf(&name, "--entry=%s", entry->name) < 0) {
		name = NULL;
		say_error("out of memory");
		return STATUS_FAILED;
	}
	argv[count++] = name;
	if (arguments->connect.foreground)
		argv[count++] = foreground;
	if (arguments->connect.idempotent)
		argv[count++] = idempotent;
	if (verbosity != NORMAL)
		argv[count++] = verbosity == QUIET ? quiet : verbose;
	device_path(arguments->connect.index, device);
	if (arguments->connect.index != NBDT_INDEX_ANY)
		argv[count++] = device;
	exec_loop(argv);
	return STATUS_FAILED;
}

enum command_status connect_expand_entry(struct connect_arguments *arguments, int argc,
	char **argv, struct nbdt_entry *entry)
{
	char name[NBDT_MAX_ENTRY_NAME + 1];
	struct nbdt_error err;

	enum command_status status = choose_name(arguments, name);
	if (status || !*name)
		return status;
	int result = entry_find(name, entry, &err);
	if (result == -ENOENT && !arguments->entry && arguments->operand_count)
		return STATUS_DONE; /* a host */
	if (result)
		return entry_report(&err);
	if (entry->kind == NBDT_KIND_LOOP)
		return become_loop(arguments, entry);
	return merge(arguments, argc, argv, entry);
}
