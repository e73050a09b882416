/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-list's command line. */
#include <stdio.h>
#include <stdlib.h>

#include "list-exports.h"
#include "nbd-list.h"

static const char help_text[] =
	"Usage: nbd-list [options] [DEVICE]            this machine's NBD devices\n"
	"       nbd-list [options] URI|HOST[:PORT]     a server and its exports\n"
	"       nbd-list [options] -u SOCKET           the same, by Unix socket\n"
	"\n"
	"      --all               free devices too\n"
	"  -O, --output=COLUMNS    these columns\n"
	"      --output-all        all columns\n"
	"  -n, --noheadings        no headings\n"
	"      --raw               no alignment\n"
	"      --bytes             sizes in bytes\n"
	"  -J, --json              JSON\n"
	"  -u, --unix=SOCKET       the server's Unix socket\n"
	"  -N, --name=NAME         only this export\n"
	"      --map[=CONTEXT]     the export's extents (default: base:allocation)\n"
	"      --totals            how much of each type the map has\n"
	"      --size              the export's size in bytes\n"
	"      --can=ABILITY, --is=ABILITY\n"
	"                          status 0 if the export has it, 2 if not, 1 after an error:\n"
	"                          cache connect df fast-zero flush fua multi-conn read trim\n"
	"                          write zero structured-reply extended-headers;\n"
	"                          read-only rotational tls\n"
	"      --check=DEVICE      status 0 if it is connected, 1 if not, 2 after an error\n"
	"      --timeout=SECONDS   for all that is asked of a server (default 10)\n" TLS_HELP
	"  -q, --quiet             no warnings\n"
	"  -v, --verbose           say more\n"
	"  -h, --help              this text\n"
	"  -V, --version           the version\n";

enum long_option {
	OPTION_ALL = 256,
	OPTION_OUTPUT_ALL,
	OPTION_RAW,
	OPTION_BYTES,
	OPTION_MAP,
	OPTION_TOTALS,
	OPTION_SIZE,
	OPTION_CAN,
	OPTION_CHECK,
	OPTION_TIMEOUT,
	OPTION_LONG_OPTIONS,
};

static const struct option long_options[] = {
	{ "all", no_argument, NULL, OPTION_ALL },
	{ "output", required_argument, NULL, 'O' },
	{ "output-all", no_argument, NULL, OPTION_OUTPUT_ALL },
	{ "noheadings", no_argument, NULL, 'n' },
	{ "raw", no_argument, NULL, OPTION_RAW },
	{ "bytes", no_argument, NULL, OPTION_BYTES },
	{ "json", no_argument, NULL, 'J' },
	{ "unix", required_argument, NULL, 'u' },
	{ "name", required_argument, NULL, 'N' },
	{ "map", optional_argument, NULL, OPTION_MAP },
	{ "totals", no_argument, NULL, OPTION_TOTALS },
	{ "size", no_argument, NULL, OPTION_SIZE },
	{ "can", required_argument, NULL, OPTION_CAN },
	{ "is", required_argument, NULL, OPTION_CAN },
	{ "check", required_argument, NULL, OPTION_CHECK },
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	TLS_LONG_OPTIONS,
	{ "quiet", no_argument, NULL, 'q' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ "long-options", no_argument, NULL, OPTION_LONG_OPTIONS },
	{ NULL, 0, NULL, 0 },
};

static enum command_status set_timeout(unsigned int *timeout)
{
	uint64_t seconds;

	if (parse_number(optarg, 86400, &seconds) || !seconds)
		return usage_error("--timeout: not a number from 1 to 86400: %s", optarg);
	*timeout = (unsigned int)seconds * 1000;
	return STATUS_DONE;
}

static enum command_status set_mode(struct list_options *options, enum list_mode mode)
{
	if (options->mode != LIST_ALL)
		return usage_error("one of --map, --size, --can, --is and --check, and once");
	options->mode = mode;
	return STATUS_DONE;
}

static enum command_status set_ability(struct list_options *options)
{
	enum command_status status = set_mode(options, LIST_TEST);

	options->ability = optarg;
	if (status || is_ability(optarg))
		return status;
	return usage_error("unknown ability: %s", optarg);
}

/* Options whose work is done at once, and which end the command. */
static bool print_and_exit(int option)
{
	switch (option) {
	case 'h':
		print_help(help_text);
		print_column_help(" of devices", list_columns, LIST_COLUMN_COUNT);
		print_column_help(" of exports", export_columns, EXPORT_COLUMN_COUNT);
		return true;
	case 'V':
		print_version();
		return true;
	case OPTION_LONG_OPTIONS:
		print_long_options(long_options);
		return true;
	default:
		return false;
	}
}

/* False: it is none of these. */
static bool set_table_option(int option, struct table_options *table)
{
	switch (option) {
	case 'O':
		table->columns = optarg;
		return true;
	case OPTION_OUTPUT_ALL:
		table->all_columns = true;
		return true;
	case 'n':
		table->no_headings = true;
		return true;
	case OPTION_RAW:
		table->raw = true;
		return true;
	case OPTION_BYTES:
		table->bytes = true;
		return true;
	case 'J':
		table->json = true;
		return true;
	default:
		return false;
	}
}

static enum command_status set_option(int option, struct list_options *options)
{
	enum command_status status;

	if (set_tls_option(option, &options->tls, &status))
		return status;
	if (set_table_option(option, &options->table))
		return STATUS_DONE;
	switch (option) {
	case OPTION_ALL:
		options->all = true;
		return STATUS_DONE;
	case 'u':
		options->socket = optarg;
		return STATUS_DONE;
	case 'N':
		options->name = optarg;
		return STATUS_DONE;
	case OPTION_MAP:
		options->context = optarg ? optarg : "base:allocation";
		return set_mode(options, LIST_MAP);
	case OPTION_TOTALS:
		options->totals = true;
		return STATUS_DONE;
	case OPTION_SIZE:
		return set_mode(options, LIST_SIZE);
	case OPTION_CAN:
		return set_ability(options);
	case OPTION_CHECK:
		options->device = optarg;
		return set_mode(options, LIST_CHECK);
	case OPTION_TIMEOUT:
		return set_timeout(&options->timeout);
	case 'q':
		verbosity = QUIET;
		return STATUS_DONE;
	case 'v':
		verbosity = VERBOSE;
		return STATUS_DONE;
	default:
		point_to_help();
		return STATUS_USAGE;
	}
}

enum command_status list_read_options(int argc, char **argv, struct list_options *options)
{
	enum command_status status = STATUS_DONE;
	int option;

	/* To the end also when one is wrong: what the status means depends on the mode. */
	while ((option = getopt_long(argc, argv, "O:nJu:N:qvhV", long_options, NULL)) != -1) {
		if (print_and_exit(option))
			exit((int)finish_stdout(STATUS_DONE));
		status = worse_status(status, set_option(option, options));
	}
	options->operand = argv[optind];
	if (!status && options->operand && options->mode == LIST_CHECK)
		return usage_error("--check takes one DEVICE alone");
	if (!status && options->totals && options->mode != LIST_MAP)
		return usage_error("--totals takes --map beside it");
	if (!status && argc - optind > 1)
		return usage_error("at most one DEVICE or server");
	return status;
}
