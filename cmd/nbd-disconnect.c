/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd-disconnect: detaches devices, by number, by entry, by what they are attached to, or all of
 * ours.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detach.h"
#include "entry.h"

static const char help_text[] =
	"Usage: nbd-disconnect [options] DEVICE|NAME|URI|FILE…  detach\n"
	"       nbd-disconnect [options] --entry=NAME           detach what this entry attached\n"
	"       nbd-disconnect [options] -a                     detach all of nbd-tools\n"
	"\n"
	"  -a, --all              every device of nbd-loop and nbd-connect\n"
	"      --entry=NAME       the device of this entry of /etc/nbdtab or /etc/nbd\n"
	"  -f, --force            also a device that is mounted or held\n"
	"      --idempotent       a device that is not connected is no error\n"
	"      --timeout=SECONDS  for the flush, and again until the device is free (default:\n"
	"                         see nbd-disconnect(8))\n"
	"      --wait=SECONDS     how long to wait for its users to go (default 0)\n"
	"  -q, --quiet            no warnings\n"
	"  -v, --verbose          say more\n"
	"  -h, --help             this text\n"
	"  -V, --version          the version\n";

enum long_option {
	OPTION_ENTRY = 256,
	OPTION_IDEMPOTENT,
	OPTION_TIMEOUT,
	OPTION_WAIT,
	OPTION_LONG_OPTIONS,
};

static const struct option long_options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ "entry", required_argument, NULL, OPTION_ENTRY },
	{ "force", no_argument, NULL, 'f' },
	{ "idempotent", no_argument, NULL, OPTION_IDEMPOTENT },
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ "wait", required_argument, NULL, OPTION_WAIT },
	{ "quiet", no_argument, NULL, 'q' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ "long-options", no_argument, NULL, OPTION_LONG_OPTIONS },
	{ NULL, 0, NULL, 0 },
};

struct arguments {
	bool all;
	const char *entry; /* --entry, or NULL */
	struct detach_wish detach;
};

static enum command_status set_option(int option, struct arguments *arguments)
{
	uint64_t seconds;

	switch (option) {
	case 'a':
		arguments->all = true;
		return STATUS_DONE;
	case 'f':
		arguments->detach.force = true;
		return STATUS_DONE;
	case OPTION_IDEMPOTENT:
		arguments->detach.idempotent = true;
		return STATUS_DONE;
	case OPTION_ENTRY:
		arguments->entry = optarg;
		return STATUS_DONE;
	case OPTION_WAIT:
		if (parse_number(optarg, 86400, &arguments->detach.wait))
			return usage_error("--wait: not a number from 0 to 86400: %s", optarg);
		return STATUS_DONE;
	case OPTION_TIMEOUT:
		if (parse_number(optarg, 86400, &seconds) || !seconds)
			return usage_error("--timeout: not a number from 1 to 86400: %s", optarg);
		arguments->detach.timeout = (unsigned int)seconds;
		return STATUS_DONE;
	case 'q':
		verbosity = QUIET;
		return STATUS_DONE;
	case 'v':
		verbosity = VERBOSE;
		return STATUS_DONE;
	case 'h':
		print_help(help_text);
		exit((int)finish_stdout(STATUS_DONE));
	case 'V':
		print_version();
		exit((int)finish_stdout(STATUS_DONE));
	case OPTION_LONG_OPTIONS:
		print_long_options(long_options);
		exit((int)finish_stdout(STATUS_DONE));
	default:
		point_to_help();
		return STATUS_USAGE;
	}
}

static bool is_ours(const struct known_device *device, const char *text)
{
	const char *kind = device_kind(device);

	(void)text;
	return kind && strcmp(kind, "foreign");
}

static bool has_entry(const struct known_device *device, const char *name)
{
	return device->has_record && device->record.name && !strcmp(device->record.name, name);
}

static bool has_source(const struct known_device *device, const char *source)
{
	return is_ours(device, NULL) && device_has_source(device, source);
}

static enum command_status detach_all(const struct arguments *arguments)
{
	size_t found;

	return detach_matching(is_ours, NULL, &arguments->detach, &found);
}

static enum command_status detach_entry(const struct arguments *arguments)
{
	char name[NBDT_MAX_ENTRY_NAME + 1];
	size_t found = 0;

	enum command_status status = entry_read_name(arguments->entry, name);
	if (!status)
		status = detach_matching(has_entry, name, &arguments->detach, &found);
	if (status || found || arguments->detach.idempotent)
		return status;
	say_error("%s: no device is attached by this entry", name);
	return STATUS_NOT_FOUND;
}

/* A URI is compared as we would write it. */
static enum command_status detach_source(
	const char *operand, const struct arguments *arguments, size_t *found)
{
	struct nbdt_uri *uri = NULL;
	char *source = NULL;

	if (strstr(operand, "://") && !nbdt_uri_parse(operand, &uri, NULL))
		source = nbdt_uri_format(uri);
	enum command_status status = detach_matching(
		has_source, source ? source : operand, &arguments->detach, found);
	nbdt_uri_free(uri);
	free(source);
	return status;
}

static enum command_status detach_operand(const char *operand, const struct arguments *arguments)
{
	int index = nbdt_device_parse(operand, true);
	size_t found;

	if (index >= 0)
		return detach_device(index, &arguments->detach);
	enum command_status status =
		detach_matching(has_entry, operand, &arguments->detach, &found);
	if (!status && !found)
		status = detach_source(operand, arguments, &found);
	if (status || found || arguments->detach.idempotent)
		return status;
	say_error("%s: nothing is attached to it, nor by an entry of that name", operand);
	return STATUS_NOT_FOUND;
}

static enum command_status detach_operands(
	char **operands, int count, const struct arguments *arguments)
{
	enum command_status status = STATUS_DONE;

	if ((arguments->all || arguments->entry) && count)
		return usage_error("-a and --entry take no operands: %s", operands[0]);
	if (arguments->all && arguments->entry)
		return usage_error("only one of -a and --entry");
	if (arguments->all)
		return detach_all(arguments);
	if (arguments->entry)
		return detach_entry(arguments);
	if (!count)
		return usage_error("no DEVICE to disconnect");
	for (int i = 0; i < count; i++)
		status = worse_status(status, detach_operand(operands[i], arguments));
	return status;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { 0 };
	int option;

	open_standard_descriptors();
	while ((option = getopt_long(argc, argv, "afqvhV", long_options, NULL)) != -1) {
		enum command_status status = set_option(option, &arguments);
		if (status)
			return (int)status;
	}
	return (int)finish_stdout(detach_operands(argv + optind, argc - optind, &arguments));
}
