/* SPDX-License-Identifier: Apache-2.0 */
/* The options of nbd-loop, from its command line or from an entry. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nbd-loop.h"

static const char help_text[] =
	"Usage: nbd-loop [options] FILE [DEVICE]           attach a file, print the device\n"
	"       nbd-loop [options] FILE -- COMMAND [ARG…]  attach, run the command, detach\n"
	"       nbd-loop [options] --entry=NAME [DEVICE]   attach an entry of /etc/nbd\n"
	"       nbd-loop -d DEVICE|FILE…                   detach\n"
	"       nbd-loop -D                                detach all\n"
	"       nbd-loop [-l] [DEVICE]                     list\n"
	"       nbd-loop -j FILE [-o OFFSET]               list the devices of a file\n"
	"       nbd-loop -c DEVICE…                        take over a changed file size\n"
	"\n"
	"Attaching:\n"
	"  -o, --offset=SIZE          begin at this offset in the file\n"
	"      --sizelimit=SIZE       use no more than this of the file\n"
	"  -b, --sector-size=SIZE     logical block size, 512 to the page size\n"
	"  -r, --read-only            attach read-only\n"
	"      --overlay[=FILE]       leave the file as it is: keep what is written in FILE, or\n"
	"                             in memory until it is detached\n"
	"      --direct-io[=on|off]   bypass the page cache of the file\n"
	"      --discard=unmap|ignore punch holes for TRIM (default), or offer no TRIM\n"
	"      --connections=N        serve over N connections (default 1)\n"
	"  -t, --timeout=SECONDS      fail requests after this time (default 30, with several\n"
	"                             connections 120)\n"
	"      --ioctl                attach by ioctl even where netlink can be had\n"
	"      --force                attach a file that is attached for writing already, or a\n"
	"                             block device that is in use; with -d and -D, detach a\n"
	"                             device that is mounted or held\n"
	"      --entry=NAME           attach the file of this entry, as nbd-connect NAME does\n"
	"      --idempotent           if it is attached already, print its device\n"
	"      --foreground           stay in the foreground, tell systemd; SIGTERM detaches\n"
	"      --pid-file=FILE        write the server's process number there\n"
	"  -f, --find, -L, --nooverlap, -P, --partscan, --show\n"
	"                             accepted for losetup's sake: always so\n"
	"\n"
	"Listing:\n"
	"  -l, --list, -a, --all      list loop devices\n"
	"  -j, --associated=FILE      only those of this file, one on a line\n"
	"  -O, --output=COLUMNS       these columns\n"
	"      --output-all           all columns\n"
	"  -n, --noheadings           no headings\n"
	"      --raw                  no alignment\n"
	"  -J, --json                 JSON\n"
	"      --bytes                sizes in bytes\n"
	"\n"
	"  -d, --detach               detach the operands\n"
	"  -D, --detach-all           detach all loop devices of nbd-loop\n"
	"  -c, --set-capacity         take over the file's size\n"
	"  -q, --quiet                no warnings\n"
	"  -v, --verbose              say more\n"
	"  -h, --help                 this text\n"
	"  -V, --version              the version\n"
	"\n"
	"Sizes take K, M, G, T or KiB … (1024) and KB … (1000).\n"
	"SIGUSR1 to the server switches the failing of writes on and off.\n";

enum long_option {
	OPTION_SIZELIMIT = 256,
	OPTION_OVERLAY,
	OPTION_DIRECT_IO,
	OPTION_DISCARD,
	OPTION_CONNECTIONS,
	OPTION_IOCTL,
	OPTION_FORCE,
	OPTION_IDEMPOTENT,
	OPTION_ENTRY,
	OPTION_FOREGROUND,
	OPTION_PID_FILE,
	OPTION_SHOW,
	OPTION_OUTPUT_ALL,
	OPTION_RAW,
	OPTION_BYTES,
	OPTION_LONG_OPTIONS,
};

static const struct option long_options[] = {
	{ "offset", required_argument, NULL, 'o' },
	{ "sizelimit", required_argument, NULL, OPTION_SIZELIMIT },
	{ "sector-size", required_argument, NULL, 'b' },
	{ "read-only", no_argument, NULL, 'r' },
	{ "overlay", optional_argument, NULL, OPTION_OVERLAY },
	{ "direct-io", optional_argument, NULL, OPTION_DIRECT_IO },
	{ "discard", required_argument, NULL, OPTION_DISCARD },
	{ "connections", required_argument, NULL, OPTION_CONNECTIONS },
	{ "timeout", required_argument, NULL, 't' },
	{ "ioctl", no_argument, NULL, OPTION_IOCTL },
	{ "force", no_argument, NULL, OPTION_FORCE },
	{ "idempotent", no_argument, NULL, OPTION_IDEMPOTENT },
	{ "entry", required_argument, NULL, OPTION_ENTRY },
	{ "foreground", no_argument, NULL, OPTION_FOREGROUND },
	{ "pid-file", required_argument, NULL, OPTION_PID_FILE },
	{ "find", no_argument, NULL, 'f' },
	{ "nooverlap", no_argument, NULL, 'L' },
	{ "partscan", no_argument, NULL, 'P' },
	{ "show", no_argument, NULL, OPTION_SHOW },
	{ "list", no_argument, NULL, 'l' },
	{ "all", no_argument, NULL, 'a' },
	{ "associated", required_argument, NULL, 'j' },
	{ "output", required_argument, NULL, 'O' },
	{ "output-all", no_argument, NULL, OPTION_OUTPUT_ALL },
	{ "noheadings", no_argument, NULL, 'n' },
	{ "raw", no_argument, NULL, OPTION_RAW },
	{ "json", no_argument, NULL, 'J' },
	{ "bytes", no_argument, NULL, OPTION_BYTES },
	{ "detach", no_argument, NULL, 'd' },
	{ "detach-all", no_argument, NULL, 'D' },
	{ "set-capacity", no_argument, NULL, 'c' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ "long-options", no_argument, NULL, OPTION_LONG_OPTIONS },
	{ NULL, 0, NULL, 0 },
};

/* Options whose work is done at once, and which end the command. */
static bool print_and_exit(int option)
{
	switch (option) {
	case 'h':
		print_help(help_text);
		print_column_help("", loop_columns, LOOP_COLUMN_COUNT);
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

static enum command_status set_size(const char *option, uint64_t *bytes)
{
	int result = nbdt_parse_size(optarg, bytes);

	return result ? usage_error("%s: not a size: %s", option, optarg) : STATUS_DONE;
}

static enum command_status set_block_size(struct loop_options *attach)
{
	uint64_t bytes;

	if (nbdt_parse_size(optarg, &bytes) || bytes < 512 || bytes > (uint64_t)getpagesize()
		|| (bytes & (bytes - 1)))
		return usage_error("block size %s: must be a power of two from 512 to %d", optarg,
			getpagesize());
	attach->block_size = (uint32_t)bytes;
	attach->image.file.block_size = attach->block_size;
	return STATUS_DONE;
}

static enum command_status set_number(const char *what, uint64_t maximum, uint64_t *number)
{
	if (parse_number(optarg, maximum, number))
		return usage_error("%s: not a number up to %llu: %s", what,
			(unsigned long long)maximum, optarg);
	return STATUS_DONE;
}

static enum command_status set_switch(
	const char *option, const char *on, const char *off, bool *value)
{
	if (strcmp(optarg, on) && strcmp(optarg, off))
		return usage_error("%s takes %s or %s, not %s", option, on, off, optarg);
	*value = !strcmp(optarg, on);
	return STATUS_DONE;
}

static enum command_status set_connections(struct loop_options *attach)
{
	uint64_t number;

	enum command_status status = set_number("--connections", 128, &number);
	if (!status && !number)
		status = usage_error("--connections: at least 1");
	if (!status)
		attach->connections = (unsigned int)number;
	return status;
}

static enum command_status set_attach_option(int option, struct loop_options *attach)
{
	enum command_status status;
	bool unmap = true;

	switch (option) {
	case OPTION_SIZELIMIT:
		return set_size("--sizelimit", &attach->image.file.size_limit);
	case 'b':
		return set_block_size(attach);
	case 'r':
		attach->image.file.read_only = true;
		return STATUS_DONE;
	case OPTION_OVERLAY:
		attach->image.overlay = true;
		attach->image.overlay_file = optarg;
		return STATUS_DONE;
	case OPTION_DIRECT_IO:
		attach->image.file.direct_io = true;
		if (!optarg)
			return STATUS_DONE;
		return set_switch("--direct-io", "on", "off", &attach->image.file.direct_io);
	case OPTION_DISCARD:
		status = set_switch("--discard", "unmap", "ignore", &unmap);
		attach->image.file.ignore_trim = !unmap;
		return status;
	case OPTION_CONNECTIONS:
		return set_connections(attach);
	case 't':
		return set_number("--timeout", 86400, &attach->timeout);
	case OPTION_IOCTL:
		attach->ioctl = true;
		return STATUS_DONE;
	case OPTION_FORCE:
		attach->force = true;
		return STATUS_DONE;
	case OPTION_IDEMPOTENT:
		attach->idempotent = true;
		return STATUS_DONE;
	case OPTION_FOREGROUND:
		attach->foreground = true;
		return STATUS_DONE;
	case OPTION_PID_FILE:
		attach->pid_file = optarg;
		return STATUS_DONE;
	default:
		return STATUS_USAGE;
	}
}

static void set_table_option(int option, struct table_options *table)
{
	switch (option) {
	case 'O':
		table->columns = optarg;
		break;
	case OPTION_OUTPUT_ALL:
		table->all_columns = true;
		break;
	case 'n':
		table->no_headings = true;
		break;
	case OPTION_RAW:
		table->raw = true;
		break;
	case 'J':
		table->json = true;
		break;
	case OPTION_BYTES:
		table->bytes = true;
		break;
	}
}

static enum command_status set_mode(struct loop_arguments *arguments, enum loop_mode mode)
{
	if (arguments->mode != LOOP_DEFAULT && arguments->mode != mode)
		return usage_error("only one of -d, -D, -l, -j and -c at a time");
	arguments->mode = mode;
	return STATUS_DONE;
}

static enum command_status set_option(int option, struct loop_arguments *arguments)
{
	switch (option) {
	case 'o':
		arguments->filter.has_offset = true;
		return set_size("--offset", &arguments->filter.offset);
	case OPTION_ENTRY:
		arguments->entry = optarg;
		return STATUS_DONE;
	case 'f':
		arguments->find = true;
		return STATUS_DONE;
	case 'L':
	case 'P':
	case OPTION_SHOW:
		return STATUS_DONE;
	case 'd':
		return set_mode(arguments, LOOP_DETACH);
	case 'D':
		return set_mode(arguments, LOOP_DETACH_ALL);
	case 'l':
	case 'a':
		if (arguments->mode == LOOP_ASSOCIATED)
			arguments->mode = LOOP_LIST;
		return set_mode(arguments, LOOP_LIST);
	case 'c':
		return set_mode(arguments, LOOP_RESIZE);
	case 'j':
		arguments->filter.file = optarg;
		if (arguments->mode == LOOP_LIST)
			return STATUS_DONE;
		return set_mode(arguments, LOOP_ASSOCIATED);
	case 'O':
	case 'n':
	case 'J':
	case OPTION_OUTPUT_ALL:
	case OPTION_RAW:
	case OPTION_BYTES:
		set_table_option(option, &arguments->table);
		return STATUS_DONE;
	case 'q':
		verbosity = QUIET;
		return STATUS_DONE;
	case 'v':
		verbosity = VERBOSE;
		return STATUS_DONE;
	case '?':
		point_to_help();
		return STATUS_USAGE;
	default:
		return set_attach_option(option, &arguments->attach);
	}
}

/* Takes a captive command off the end, before getopt moves its words about. */
static int split_command(int argc, char **argv, struct loop_arguments *arguments)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		arguments->attach.command = &argv[i + 1];
		return i;
	}
	return argc;
}

enum command_status loop_read_arguments(int argc, char **argv, struct loop_arguments *arguments)
{
	bool has_command = argc != split_command(argc, argv, arguments);
	int option;

	/* Not only once in this process. */
	optind = 0;
	argc = split_command(argc, argv, arguments);
	if (has_command && !arguments->attach.command[0])
		return usage_error("no command after --");
	while ((option = getopt_long(argc, argv, "o:b:rt:fLPlaj:O:nJdDcqvhV", long_options, NULL))
		!= -1) {
		if (print_and_exit(option))
			exit((int)finish_stdout(STATUS_DONE));
		enum command_status status = set_option(option, arguments);
		if (status)
			return status;
	}
	arguments->operands = argv + optind;
	arguments->operand_count = argc - optind;
	arguments->attach.image.file.offset = arguments->filter.offset;
	if (arguments->attach.command && arguments->mode != LOOP_DEFAULT)
		return usage_error("a command can only follow a file that is attached");
	if (arguments->attach.command
		&& (arguments->attach.foreground || arguments->attach.idempotent))
		return usage_error("a command excludes --foreground and --idempotent");
	if (arguments->attach.image.overlay && arguments->attach.image.file.read_only)
		return usage_error("--overlay is for writing; it excludes --read-only");
	if (arguments->operand_count
		&& (arguments->mode == LOOP_DETACH_ALL || arguments->mode == LOOP_ASSOCIATED))
		return usage_error("-D and -j take no operands: %s", arguments->operands[0]);
	return STATUS_DONE;
}

void loop_set_defaults(struct loop_arguments *arguments)
{
	*arguments = (struct loop_arguments){
		.attach = {
			.index = NBDT_INDEX_ANY,
			.connections = 1,
			.timeout = LOOP_TIMEOUT_UNSET,
			.image = { .busy_remedy = "--force attaches it all the same" },
		},
		.filter = { .index = NBDT_INDEX_ANY },
	};
}
