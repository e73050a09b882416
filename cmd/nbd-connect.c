/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-connect: an export as a block device. Options in; the work is in connect-attach.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices.h"
#include "nbd-connect.h"
#include "server-address.h"

static const char help_text[] =
	"Usage: nbd-connect [options] URI [DEVICE]        attach an export, print the device\n"
	"       nbd-connect [options] HOST [PORT] DEVICE  the same, as nbd-client has it\n"
	"       nbd-connect [options] HOST[:PORT] [DEVICE] -N NAME\n"
	"       nbd-connect [options] -u SOCKET [DEVICE]\n"
	"       nbd-connect -d DEVICE                     detach\n"
	"       nbd-connect -c DEVICE                     is it connected? (0 yes, 1 no)\n"
	"\n"
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
	"      --dry-run             do the handshake, print what was found, attach nothing\n"
	"  -c, --check               tell whether DEVICE is connected\n"
	"  -d, --disconnect          detach DEVICE\n"
	"  -q, --quiet               no warnings\n"
	"  -v, --verbose             say more\n"
	"  -h, --help                this text\n"
	"  -V, --version             the version\n"
	"\n"
	"URIs: nbd://HOST[:PORT]/NAME, nbd+unix:///NAME?socket=PATH\n";

enum mode {
	MODE_ATTACH,
	MODE_DETACH,
	MODE_CHECK,
};

enum long_option {
	OPTION_CONNECT_TIMEOUT = 256,
	OPTION_DRY_RUN,
	OPTION_LONG_OPTIONS,
};

static const char short_options[] = "N:u:C:b:Rt:T:i:LcdqvhV";

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
	{ "check", no_argument, NULL, 'c' },
	{ "disconnect", no_argument, NULL, 'd' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ "long-options", no_argument, NULL, OPTION_LONG_OPTIONS },
	{ NULL, 0, NULL, 0 },
};

struct arguments {
	enum mode mode;
	struct connect_options connect;
	const char *name;   /* -N, or NULL */
	const char *socket; /* -u, or NULL */
	char **operands;
	int operand_count;
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

static enum command_status set_connect_option(int option, struct connect_options *connect)
{
	enum command_status status;
	uint64_t seconds;

	switch (option) {
	case 'C':
		return set_connections(connect);
	case 'b':
		return set_block_size(connect);
	case 'R':
		connect->read_only = true;
		return STATUS_DONE;
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
	case 'L':
		connect->ioctl = true;
		return STATUS_DONE;
	case OPTION_CONNECT_TIMEOUT:
		status = set_number("--connect-timeout", 1, 86400, &seconds);
		if (!status)
			connect->handshake_timeout = (unsigned int)seconds * 1000;
		return status;
	case OPTION_DRY_RUN:
		connect->dry_run = true;
		return STATUS_DONE;
	default:
		point_to_help();
		return STATUS_USAGE;
	}
}

static enum command_status set_mode(struct arguments *arguments, enum mode mode)
{
	if (arguments->mode != MODE_ATTACH && arguments->mode != mode)
		return usage_error("only one of -c and -d at a time");
	arguments->mode = mode;
	return STATUS_DONE;
}

static enum command_status set_option(int option, struct arguments *arguments)
{
	switch (option) {
	case 'N':
		arguments->name = optarg;
		return STATUS_DONE;
	case 'u':
		arguments->socket = optarg;
		return STATUS_DONE;
	case 'c':
		return set_mode(arguments, MODE_CHECK);
	case 'd':
		return set_mode(arguments, MODE_DETACH);
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

static enum command_status read_arguments(int argc, char **argv, struct arguments *arguments)
{
	int option;

	while ((option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		if (print_and_exit(option))
			exit((int)finish_stdout(STATUS_DONE));
		enum command_status status = set_option(option, arguments);
		if (status)
			return status;
	}
	arguments->operands = argv + optind;
	arguments->operand_count = argc - optind;
	return STATUS_DONE;
}

/* Takes the device off the end of the operands, if there is one. */
static void take_device(struct arguments *arguments)
{
	if (!arguments->operand_count)
		return;
	int index = nbdt_device_parse(arguments->operands[arguments->operand_count - 1], false);
	if (index < 0)
		return;
	arguments->connect.index = index;
	arguments->operand_count--;
}

/*
 * A URI, or nbd-client's forms. Nobody can tell the second operand of HOST PORT from a device's
 * number.
 */
static enum command_status parse_address(struct arguments *arguments)
{
	char **operands = arguments->operands;
	bool has_device = arguments->connect.index != NBDT_INDEX_ANY;
	const char *port = NULL;

	if (!arguments->operand_count)
		return usage_error("no URI or HOST to connect to");
	if (arguments->operand_count > 2)
		return usage_error("too many operands");
	if (arguments->operand_count == 2) {
		if (strstr(operands[0], "://") || strstr(operands[1], "://"))
			return usage_error("one URI and at most one DEVICE");
		if (!has_device)
			return usage_error("%s: is this a port or a device?"
					   " Write HOST:PORT, or /dev/nbdN",
				operands[1]);
		port = operands[1];
	}
	return read_server_address(operands[0], port, arguments->name, &arguments->connect.uri);
}

static enum command_status parse_unix(struct arguments *arguments)
{
	struct nbdt_error err;

	if (arguments->operand_count)
		return usage_error("-u takes no HOST or URI beside it: %s", arguments->operands[0]);
	if (nbdt_uri_unix(arguments->socket, arguments->name ? arguments->name : "",
		    &arguments->connect.uri, &err))
		return report(NULL, &err);
	return STATUS_DONE;
}

static enum command_status attach(struct arguments *arguments)
{
	enum command_status status;

	take_device(arguments);
	if (arguments->socket)
		status = parse_unix(arguments);
	else
		status = parse_address(arguments);
	if (!status)
		status = connect_attach(&arguments->connect);
	nbdt_uri_free(arguments->connect.uri);
	return status;
}

static enum command_status detach(int index)
{
	struct nbdt_error err;

	return nbdt_detach(index, NULL, &err) ? report(NULL, &err) : STATUS_DONE;
}

/* nbd-client -c: 0 connected, 1 not, 2 error. */
static int check(int index)
{
	struct nbdt_device_info info;
	struct nbdt_error err;

	if (nbdt_device_get(index, &info, &err)) {
		report(NULL, &err);
		return 2;
	}
	if (info.state != NBDT_DEVICE_CONNECTED)
		return 1;
	printf("%d\n", info.pid);
	return 0;
}

static int run(struct arguments *arguments)
{
	if (arguments->mode == MODE_ATTACH)
		return (int)attach(arguments);
	if (arguments->operand_count != 1)
		return (int)usage_error("exactly one DEVICE");
	int index = nbdt_device_parse(arguments->operands[0], true);
	if (index < 0)
		return (int)usage_error("%s: not an NBD device", arguments->operands[0]);
	return arguments->mode == MODE_CHECK ? check(index) : (int)detach(index);
}

int main(int argc, char **argv)
{
	struct arguments arguments = {
		.connect = {
			.index = NBDT_INDEX_ANY,
			.connections = 1,
			.timeout = 30,
			.handshake_timeout = 10000,
		},
	};

	open_standard_descriptors();
	int status = (int)read_arguments(argc, argv, &arguments);
	if (!status)
		status = run(&arguments);
	return (int)finish_stdout((enum command_status)status);
}
