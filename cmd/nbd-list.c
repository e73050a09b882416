/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-list: this machine's NBD devices, or a server's exports. */
#include <stdio.h>
#include <stdlib.h>

#include "nbd-list.h"
#include "server-address.h"
#include "tls-options.h"

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
	"      --timeout=SECONDS   for all that is asked of a server (default 10)\n"
	TLS_HELP
	"  -q, --quiet             no warnings\n"
	"  -v, --verbose           say more\n"
	"  -h, --help              this text\n"
	"  -V, --version           the version\n";

enum long_option {
	OPTION_ALL = 256,
	OPTION_OUTPUT_ALL,
	OPTION_RAW,
	OPTION_BYTES,
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
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	TLS_LONG_OPTIONS,
	{ "quiet", no_argument, NULL, 'q' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ "long-options", no_argument, NULL, OPTION_LONG_OPTIONS },
	{ NULL, 0, NULL, 0 },
};

struct arguments {
	bool all;
	const char *socket;
	const char *name;
	unsigned int timeout; /* milliseconds */
	struct tls_options tls;
	struct table_options table;
};

static enum command_status set_timeout(unsigned int *timeout)
{
	uint64_t seconds;

	if (parse_number(optarg, 86400, &seconds) || !seconds)
		return usage_error("--timeout: not a number from 1 to 86400: %s", optarg);
	*timeout = (unsigned int)seconds * 1000;
	return STATUS_DONE;
}

/* Options whose work is done at once, and which end the command. */
static bool print_and_exit(int option)
{
	switch (option) {
	case 'h':
		print_help(help_text);
		print_column_help(list_columns, LIST_COLUMN_COUNT);
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

static enum command_status set_option(int option, struct arguments *arguments)
{
	enum command_status status;

	if (set_tls_option(option, &arguments->tls, &status))
		return status;
	switch (option) {
	case OPTION_ALL:
		arguments->all = true;
		return STATUS_DONE;
	case 'O':
		arguments->table.columns = optarg;
		return STATUS_DONE;
	case OPTION_OUTPUT_ALL:
		arguments->table.all_columns = true;
		return STATUS_DONE;
	case 'n':
		arguments->table.no_headings = true;
		return STATUS_DONE;
	case OPTION_RAW:
		arguments->table.raw = true;
		return STATUS_DONE;
	case OPTION_BYTES:
		arguments->table.bytes = true;
		return STATUS_DONE;
	case 'J':
		arguments->table.json = true;
		return STATUS_DONE;
	case 'u':
		arguments->socket = optarg;
		return STATUS_DONE;
	case 'N':
		arguments->name = optarg;
		return STATUS_DONE;
	case OPTION_TIMEOUT:
		return set_timeout(&arguments->timeout);
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

static enum command_status list_server(const char *address, const struct arguments *arguments)
{
	const char *name = arguments->name ? arguments->name : "";
	struct nbdt_uri *uri = NULL;
	struct nbdt_error err;
	enum command_status status;

	if (arguments->all || arguments->table.columns || arguments->table.all_columns
		|| arguments->table.no_headings || arguments->table.raw || arguments->table.bytes)
		status = usage_error("of the table's options only --json is for a server");
	else if (!arguments->socket)
		status = read_server_address(address, NULL, arguments->name, &uri);
	else if (address)
		status = usage_error("-u takes no HOST or URI beside it: %s", address);
	else if (nbdt_uri_unix(arguments->socket, name, &uri, &err))
		status = report(NULL, &err);
	else
		status = STATUS_DONE;
	if (!status)
		status = apply_tls_options(&arguments->tls, uri);
	if (!status)
		status = list_exports(uri, arguments->timeout, arguments->table.json);
	nbdt_uri_free(uri);
	return status;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { .timeout = 10000 };
	enum command_status status = STATUS_DONE;
	int option;

	open_standard_descriptors();
	while (!status
		&& (option = getopt_long(argc, argv, "O:nJu:N:qvhV", long_options, NULL)) != -1) {
		if (print_and_exit(option))
			return (int)finish_stdout(STATUS_DONE);
		status = set_option(option, &arguments);
	}
	if (status)
		return (int)status;
	if (argc - optind > 1)
		return (int)usage_error("at most one DEVICE or server");
	const char *operand = argv[optind];
	int index = operand ? nbdt_device_parse(operand, false) : NBDT_INDEX_ANY;
	if (arguments.socket || (operand && index < 0))
		status = list_server(operand, &arguments);
	else if (arguments.tls.required || arguments.tls.off)
		status = usage_error("the options of TLS are for a server");
	else
		status = list_devices(index, arguments.all, &arguments.table);
	return (int)finish_stdout(status);
}
