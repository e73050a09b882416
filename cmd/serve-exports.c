/* SPDX-License-Identifier: Apache-2.0 */
/* What nbd-serve exports: files, with an overlay if that is wanted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "nbd-serve.h"
#include "overlap.h"

static enum command_status no_memory(void)
{
	say_error("out of memory");
	return STATUS_FAILED;
}

/*
 * The name of an export, for free(): what stands before the first '=', or else the file's own. A
 * path that has one begins with a slash or a dot, as names do not.
 */
static char *export_name(const char *operand, const char **file)
{
	const char *equals = *operand == '/' || *operand == '.' ? NULL : strchr(operand, '=');

	*file = equals ? equals + 1 : operand;
	if (equals)
		return strndup(operand, (size_t)(equals - operand));
	const char *slash = strrchr(operand, '/');
	return strdup(slash ? slash + 1 : operand);
}

/*
 * Only who has it now counts: a later attachment does not know of us. Nor does this look for other
 * servers.
 */
static enum command_status check_writers(const struct serve_options *options, const char *file,
	const struct nbdt_file_facts *facts)
{
	CLEANUP_FREE char *source = strdup(file);
	const struct nbdt_record record = {
		.kind = NBDT_KIND_LOOP,
		.source = source,
		.read_only = facts->read_only,
		.file_dev = facts->dev,
		.file_ino = facts->ino,
		.offset = options->image.file.offset,
		.size_limit = options->image.file.size_limit,
	};
	struct nbdt_error err;

	if (!source)
		return no_memory();
	if (options->image.file.share || check_overlap(&record, &err) != -EBUSY)
		return STATUS_DONE;
	return report(NULL, &err);
}

static enum command_status add_export(const struct serve_options *options, const char *operand,
	struct nbdt_server *server, struct nbdt_device **device)
{
	const char *file;
	struct nbdt_error err;

	CLEANUP_FREE char *name = export_name(operand, &file);
	if (!name)
		return no_memory();
	struct nbdt_file_facts facts;
	enum command_status status = image_open(file, &options->image, device, &facts);
	if (!status)
		status = check_writers(options, file, &facts);
	if (status)
		return status;
	int result = nbdt_server_add_export(server, name, options->description, *device, &err);
	if (result == -EEXIST)
		return usage_error("%s; NAME=FILE gives another name", err.text);
	if (result == -EINVAL)
		return usage_error("%s", err.text);
	return result ? report(NULL, &err) : STATUS_DONE;
}

/* The operand that --default names; the first one without it. */
static enum command_status find_default(const struct serve_options *options, size_t *index)
{
	*index = 0;
	for (size_t i = 0; options->default_name && i < options->file_count; i++) {
		const char *file;
		CLEANUP_FREE char *name = export_name(options->files[i], &file);

		if (!name)
			return no_memory();
		*index = i;
		if (!strcmp(name, options->default_name))
			return STATUS_DONE;
	}
	if (options->default_name)
		return usage_error("--default: there is no export \"%s\"", options->default_name);
	return STATUS_DONE;
}

enum command_status exports_open(const struct serve_options *options, struct nbdt_server *server,
	struct exports *exports)
{
	size_t first;

	exports->devices = calloc(options->file_count, sizeof(struct nbdt_device *));
	if (!exports->devices)
		return no_memory();
	enum command_status status = find_default(options, &first);
	/* The server's first one is the default. */
	if (!status)
		status = add_export(options, options->files[first], server,
			&exports->devices[exports->count++]);
	for (size_t i = 0; !status && i < options->file_count; i++)
		if (i != first)
			status = add_export(options, options->files[i], server,
				&exports->devices[exports->count++]);
	return status;
}

void exports_close(struct exports *exports)
{
	for (size_t i = 0; i < exports->count; i++)
		nbdt_device_close(exports->devices[i]);
	free(exports->devices);
}
