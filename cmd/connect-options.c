/* SPDX-License-Identifier: Apache-2.0 */
/* The options of nbd-connect, from its command line or from an entry. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nbd-connect.h"

static const char help_text[] =
	"Usage: nbd-connect [options] URI… [DEVICE]       attach an export, print the device\n"
	"       nbd-connect [options] NAME [DEVICE]       attach an entry of nbdtab or /etc/nbd\n"
	"       nbd-connect [options] HOST [PORT] DEVICE  an export, as nbd-client has it\n"
	"       nbd-connect [options] HOST[:PORT] [DEVICE] -N NAME\n"
	"       nbd-connect [options] -u SOCKET [DEVICE]\n"
	"       nbd-connect -d DEVICE                     detach\n"
	"       nbd-connect -c DEVICE                     is it connected? (0 yes, 1 no)\n"
	"\n"
	"      --entry=NAME          attach this entry\n"
	"      --wait=SECONDS        keep trying while no server answers (default 0)\n"
	"      --idempotent          if it is attached already, print its device\n"
	"  -N, --name=NAME           the export's name (default: the default export)\n"
	"  -u, --unix=SOCKET         connect to a Unix socket\n"
	"  -C, --connections=N|auto  open N connections (default 1)\n"
	"  -b, --block-size=SIZE     logical block size (default: the server's minimum)\n"
	"  -R, --read-only           attach read-only\n"
	"  -t, --timeout=SECONDS     fail requests after this time (default 30)\n"
	"  -T, --dead-timeout=SECONDS\n"
	"                            how long I/O waits for a lost link's successor (default 0)\n"
	"  -i, --identifier=TEXT     stands for the source in nbd-list and the kernel\n"
	"  -L, --ioctl               attach by ioctl even where netlink can be had\n"
	"      --connect-timeout=SECONDS\n"
	"                            for the handshake (default 10)\n"
	"  -g, --no-optgo            do not use NBD_OPT_GO\n"
	"  -s, --swap                it is for swapping\n"
	"      --foreground          if a process must stay, stay; tell systemd\n"
	"      --dry-run             do the handshake, print what was found, attach nothing\n"
	"  -c, --check               tell whether DEVICE is connected\n"
	"  -d, --disconnect          detach DEVICE\n"
	"  -q, --quiet               no warnings\n"
	"  -v, --verbose             say more\n"
	"  -h, --help                this text\n"
	"  -V, --version             the version\n"
	"\n"
	"Several URIs are alternatives: the first that works is attached.\n"
	"URIs: nbd://HOST[:PORT]/NAME, nbd+unix:///NAME?socket=PATH\n";

enum long_option {
	OPTION_CONNECT_TIMEOUT = 256,
	OPTION_DRY_RUN,
	OPTION_ENTRY,
	OPTION_FOREGROUND,
	OPTION_IDEMPOTENT,
	OPTION_WAIT,
	OPTION_LONG_OPTIONS,
};

static const char short_options[] = "N:u:C:b:Rt:T:i:LgscdqvhV";

static const struct option long_options[] = {
	{ "name", required_argument, NULL, 'N' },
	{ "unix", required_argument, NULL, 'u' },
	{ "connections", required_argument, NULL, 'C' },
	{ "block-size", required_argument, NULL, 'b' },
	{ "read-only", no_argument, NULL, 'R' },
	{ "timeout", required_argument, NULL, 't' },
	{ "dead-timeout", required_argument, NULL, 'T' },
	{ "identifier", required_argument, NULL, 'i' },
	{ "ioctl", no_argument, NULL, 'L' },
	{ "connect-timeout", required_argument, NULL, OPTION_CONNECT_TIMEOUT },
	{ "dry-run", no_argument, NULL, OPTION_DRY_RUN },
	{ "entry", required_argument, NULL, OPTION_ENTRY },
	{ "foreground", no_argument, NULL, OPTION_FOREGROUND },
	{ "idempotent", no_argument, NULL, OPTION_IDEMPOTENT },
	{ "no-optgo", no_argument, NULL, 'g' },
	{ "swap", no_argument, NULL, 's' },
	{ "wait", required_argument, NULL, OPTION_WAIT },
	{ "check", no_argument, NULL, 'c' },
	{ "disconnect", no_argument, NULL, 'd' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ "long-options", no_argument, NULL, OPTION_LONG_OPTIONS },
	{ NULL, 0, NULL, 0 },
};

static enum command_status set_number(const char *what, uint64_t minimum, uint64_t maximum,
	uint64_t *number)
{
	if (parse_number(optarg, maximum, number) || *number < minimum)
		return usage_error("%s: not a number from %llu to %llu: %s", what,
			(unsigned long long)minimum, (unsigned long long)maximum, optarg);
	return STATUS_DONE;
}

static enum command_status set_connections(struct connect_options *connect)
{
	uint64_t number = CONNECTIONS_AUTO;
	enum command_status status = STATUS_DONE;

	if (strcmp(optarg, "auto"))
		status = set_number("--connections", 1, MAX_CONNECTIONS, &number);
	connect->connections = (unsigned int)number;
	return status;
}

static enum command_status set_block_size(struct connect_options *connect)
{
	uint64_t bytes;

	if (nbdt_parse_size(optarg, &bytes) || bytes < 512 || bytes > (uint64_t)getpagesize()
		|| (bytes & (bytes - 1)))
		return usage_error("block size %s: must be a power of two from 512 to %d", optarg,
			getpagesize());
	connect->block_size = (uint32_t)bytes;
	return STATUS_DONE;
}

static enum command_status set_identifier(struct connect_options *connect)
{
	if (!*optarg || strchr(optarg, '\n'))
		return usage_error("--identifier: neither empty nor with a newline");
	connect->identifier = optarg;
	return STATUS_DONE;
}

/* False: it is none of these. */
static bool set_flag(int option, struct connect_options *connect)
{
	switch (option) {
	case 'R':
		connect->read_only = true;
		return true;
	case 'L':
		connect->ioctl = true;
		return true;
	case 'g':
		connect->no_optgo = true;
		return true;
	case 's':
		connect->swap = true;
		return true;
	case OPTION_DRY_RUN:
		connect->dry_run = true;
		return true;
	case OPTION_FOREGROUND:
		connect->foreground = true;
		return true;
	case OPTION_IDEMPOTENT:
		connect->idempotent = true;
		return true;
	default:
		return false;
	}
}

static enum command_status set_connect_option(int option, struct connect_options *connect)
{
	enum command_status status;
	uint64_t seconds;

	switch (option) {
	case 'C':
		return set_connections(connect);
	case 'b':
		return set_block_size(connect);
	case 't':
		/*
		 * Without a limit, and with nobody watching, a dead server means I/O that hangs for
		 * ever.
		 */
		return set_number("--timeout", 1, 86400, &connect->timeout);
	case 'T':
		return set_number("--dead-timeout", 0, 86400, &connect->dead_timeout);
	case 'i':
		return set_identifier(connect);
	case OPTION_WAIT:
		return set_number("--wait", 0, 86400, &connect->wait);
	case OPTION_CONNECT_TIMEOUT:
		status = set_number("--connect-timeout", 1, 86400, &seconds);
		if (!status)
			connect->handshake_timeout = (unsigned int)seconds * 1000;
		return status;
	default:
		if (set_flag(option, connect))
			return STATUS_DONE;
		point_to_help();
		return STATUS_USAGE;
	}
}

static enum command_status set_mode(struct connect_arguments *arguments, enum connect_mode mode)
{
	if (arguments->mode != CONNECT_ATTACH && arguments->mode != mode)
		return usage_error("only one of -c and -d at a time");
	arguments->mode = mode;
	return STATUS_DONE;
}

static enum command_status set_option(int option, struct connect_arguments *arguments)
{
	switch (option) {
	case 'N':
		arguments->name = optarg;
		return STATUS_DONE;
	case OPTION_ENTRY:
		arguments->entry = optarg;
		return STATUS_DONE;
	case 'u':
		arguments->socket = optarg;
		return STATUS_DONE;
	case 'c':
		return set_mode(arguments, CONNECT_CHECK);
	case 'd':
		return set_mode(arguments, CONNECT_DETACH);
	case 'q':
		verbosity = QUIET;
		return STATUS_DONE;
	case 'v':
		verbosity = VERBOSE;
		return STATUS_DONE;
	default:
		return set_connect_option(option, &arguments->connect);
	}
}

/* Options whose work is done at once, and which end the command. */
static bool print_and_exit(int option)
{
	if (option == 'h')
		print_help(help_text);
	else if (option == 'V')
		print_version();
	else if (option == OPTION_LONG_OPTIONS)
		print_long_options(long_options);
	else
		return false;
	return true;
}

/* Those that an entry may take even if it turns out to have an image file. */
static bool is_for_all_entries(int option)
{
	return option == OPTION_ENTRY || option == OPTION_FOREGROUND || option == OPTION_IDEMPOTENT
	       || option == OPTION_WAIT || option == 'q' || option == 'v';
}

enum command_status connect_read_arguments(
	int argc, char **argv, struct connect_arguments *arguments)
{
	int option;

	/* Not only once in this process. */
	optind = 0;
	while ((option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		if (print_and_exit(option))
			exit((int)finish_stdout(STATUS_DONE));
		enum command_status status = set_option(option, arguments);
		if (status)
			return status;
		if (!is_for_all_entries(option))
			arguments->only_for_exports = true;
	}
	arguments->operands = argv + optind;
	arguments->operand_count = argc - optind;
	return STATUS_DONE;
}

void connect_set_defaults(struct connect_arguments *arguments)
{
	*arguments = (struct connect_arguments){
		.connect = {
			.index = NBDT_INDEX_ANY,
			.connections = 1,
			.timeout = 30,
			.handshake_timeout = 10000,
		},
	};
}
