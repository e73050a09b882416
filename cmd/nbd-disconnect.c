/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd-disconnect: detaches devices, by number, by entry, by what they are attached to, or all of
 * ours.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backoff.h"
#include "devices.h"
#include "entry.h"

#define WAIT_PAUSE 200 /* milliseconds between looks whether a device is still in use */

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
	bool idempotent;
	const char *entry; /* --entry, or NULL */
	uint64_t wait;     /* seconds for users to go */
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
	case OPTION_ENTRY:
		arguments->entry = optarg;
		return STATUS_DONE;
	case OPTION_WAIT:
		if (parse_number(optarg, 86400, &arguments->wait))
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

static bool is_connected(int index)
{
	struct nbdt_device_info info;

	return !nbdt_device_get(index, &info, NULL) && info.state == NBDT_DEVICE_CONNECTED;
}

/* As nbdt_detach(), but refuses a device that is in use only after the time of --wait. */
static int detach_patiently(int index, const struct arguments *arguments, struct nbdt_error *err)
{
	const struct timespec pause = { .tv_nsec = WAIT_PAUSE * 1000000L };
	const struct backoff limit = backoff_start((int64_t)arguments->wait * 1000);

	int result = nbdt_detach(index, &arguments->detach, err);
	if (result == -EBUSY && arguments->wait && is_connected(index))
		say_warning("%s; waiting %" PRIu64 " s for that to end", err->text,
			arguments->wait);
	while (result == -EBUSY && backoff_left(&limit) && is_connected(index)) {
		nanosleep(&pause, NULL);
		result = nbdt_detach(index, &arguments->detach, err);
	}
	return result;
}

static enum command_status detach(int index, const struct arguments *arguments)
{
	struct nbdt_error err;

	warn_if_dead(index);
	if (!detach_patiently(index, arguments, &err)) {
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

static bool has_entry(const struct known_device *device, const char *name)
{
	return device->has_record && device->record.name && !strcmp(device->record.name, name);
}

/* Detaches every device of ours that MATCHES TEXT, or with NULL all. *FOUND counts them. */
static enum command_status detach_matching(
	bool (*matches)(const struct known_device *device, const char *text), const char *text,
	const struct arguments *arguments, size_t *found)
{
	enum command_status status = STATUS_DONE;
	struct known_device *devices;
	struct nbdt_error err;
	size_t count;

	*found = 0;
	if (read_devices(&devices, &count, &err))
		return report(NULL, &err);
	for (size_t i = 0; i < count; i++) {
		if (!is_ours(&devices[i]) || (matches && !matches(&devices[i], text)))
			continue;
		++*found;
		status = worse_status(status, detach(devices[i].info.index, arguments));
	}
	free_devices(devices, count);
	return status;
}

static enum command_status detach_all(const struct arguments *arguments)
{
	size_t found;

	return detach_matching(NULL, NULL, arguments, &found);
}

static enum command_status detach_entry(const struct arguments *arguments)
{
	char name[NBDT_MAX_ENTRY_NAME + 1];
	size_t found = 0;

	enum command_status status = entry_read_name(arguments->entry, name);
	if (!status)
		status = detach_matching(has_entry, name, arguments, &found);
	if (status || found || arguments->idempotent)
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
		device_has_source, source ? source : operand, arguments, found);
	nbdt_uri_free(uri);
	free(source);
	return status;
}

static enum command_status detach_operand(const char *operand, const struct arguments *arguments)
{
	int index = nbdt_device_parse(operand, true);
	size_t found;

	if (index >= 0)
		return detach(index, arguments);
	enum command_status status = detach_matching(has_entry, operand, arguments, &found);
	if (!status && !found)
		status = detach_source(operand, arguments, &found);
	if (status || found || arguments->idempotent)
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
