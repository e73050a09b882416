/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-disconnect: detaches devices, by number, by what they are attached to, or all of ours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices.h"

static const char help_text[] =
	"Usage: nbd-disconnect [options] DEVICE|URI|FILE…  detach\n"
	"       nbd-disconnect [options] -a                detach all that nbd-tools attached\n"
	"\n"
	"  -a, --all              every device of nbd-loop and nbd-connect\n"
	"  -f, --force            also a device that is mounted or held\n"
	"      --idempotent       a device that is not connected is no error\n"
	"      --timeout=SECONDS  for the flush, and again until the device is free (default:\n"
	"                         see nbd-disconnect(8))\n"
	"  -q, --quiet            no warnings\n"
	"  -v, --verbose          say more\n"
	"  -h, --help             this text\n"
	"  -V, --version          the version\n";

enum long_option {
	OPTION_IDEMPOTENT = 256,
	OPTION_TIMEOUT,
	OPTION_LONG_OPTIONS,
};

static const struct option long_options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ "force", no_argument, NULL, 'f' },
	{ "idempotent", no_argument, NULL, OPTION_IDEMPOTENT },
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ "quiet", no_argument, NULL, 'q' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ "long-options", no_argument, NULL, OPTION_LONG_OPTIONS },
	{ NULL, 0, NULL, 0 },
};

struct arguments {
	bool all;
	bool idempotent;
	struct nbdt_detach_options detach;
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
		arguments->idempotent = true;
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

static void warn_if_dead(int index)
{
	struct nbdt_device_info info;
	struct nbdt_record record;

	if (nbdt_device_get(index, &info, NULL) || nbdt_record_read(index, &record, NULL))
		return;
	if (nbdt_record_check(&record, &info) == NBDT_RECORD_DEAD)
		say_warning("nbd%d: its server is dead; what it had not stored is lost", index);
	nbdt_record_free(&record);
}

static enum command_status detach(int index, const struct arguments *arguments)
{
	struct nbdt_error err;

	warn_if_dead(index);
	if (!nbdt_detach(index, &arguments->detach, &err)) {
		say_notice("nbd%d: detached", index);
		return STATUS_DONE;
	}
	if (status_of(err.code) == STATUS_NOT_FOUND && arguments->idempotent)
		return STATUS_DONE;
	return report(NULL, &err);
}

static bool is_ours(const struct known_device *device)
{
	const char *kind = device_kind(device);

	return kind && strcmp(kind, "foreign");
}

/* Detaches every device of ours, or those with a source. *FOUND counts them. */
static enum command_status detach_matching(
	const char *source, const struct arguments *arguments, size_t *found)
{
	enum command_status status = STATUS_DONE;
	struct known_device *devices;
	struct nbdt_error err;
	size_t count;

	*found = 0;
	if (read_devices(&devices, &count, &err))
		return report(NULL, &err);
	for (size_t i = 0; i < count; i++) {
		if (!is_ours(&devices[i]) || (source && !device_has_source(&devices[i], source)))
			continue;
		++*found;
		status = worse_status(status, detach(devices[i].info.index, arguments));
	}
	free_devices(devices, count);
	return status;
}

/* A URI is compared as we would write it. */
static enum command_status detach_source(const char *operand, const struct arguments *arguments)
{
	struct nbdt_uri *uri = NULL;
	char *source = NULL;
	size_t found;

	if (strstr(operand, "://") && !nbdt_uri_parse(operand, &uri, NULL))
		source = nbdt_uri_format(uri);
	enum command_status status =
		detach_matching(source ? source : operand, arguments, &found);
	nbdt_uri_free(uri);
	free(source);
	if (status || found || arguments->idempotent)
		return status;
	say_error("%s: nothing is attached to it", operand);
	return STATUS_NOT_FOUND;
}

static enum command_status detach_operand(const char *operand, const struct arguments *arguments)
{
	int index = nbdt_device_parse(operand, true);

	return index >= 0 ? detach(index, arguments) : detach_source(operand, arguments);
}

static enum command_status detach_operands(
	char **operands, int count, const struct arguments *arguments)
{
	enum command_status status = STATUS_DONE;
	size_t found;

	if (arguments->all && count)
		return usage_error("-a takes no operands");
	if (arguments->all)
		return detach_matching(NULL, arguments, &found);
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
