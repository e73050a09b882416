/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of nbd-serve. */
#include <stdlib.h>
#include <string.h>

#include "nbd-serve.h"
#include "tls-options.h"

#define DEFAULT_CONNECTIONS 100
#define MOST_CONNECTIONS 100000

static const char help_text[] =
	"Usage: nbd-serve [options] FILE        serve a file or block device\n"
	"       nbd-serve [options] NAME=FILE…  serve several, with their names\n"
	"\n"
	"      --listen=ADDRESS:PORT  listen on TCP (default: localhost:10809), also several\n"
	"                             times; :PORT for all addresses, port 0 for a free one\n"
	"  -U, --unix=PATH            listen on a Unix socket\n"
	"  -r, --read-only            let nobody write\n"
	"      --default=NAME         the export for clients that name none (default: the first)\n"
	"      --description=TEXT     of the exports\n"
	"      --offset=SIZE          begin so far into the file\n"
	"      --sizelimit=SIZE       use no more than this of the file\n"
	"      --overlay[=FILE]       keep what is written in FILE, or in memory until the end\n"
	"      --direct-io            past the page cache\n"
	"      --force                serve what is attached or in use elsewhere, too\n"
	"      --max-connections=N    turn others away while N clients are there (default: 100)\n"
	"      --tls=off|on|require   none, for those who want it, or for all (default: off, and\n"
	"                             require with any of the options below)\n"
	"      --tls-certificates=FOLDER\n"
	"                             with server-cert.pem, server-key.pem, ca-cert.pem\n"
	"      --tls-psk=FILE         pre-shared keys instead of certificates\n"
	"      --tls-verify-peer      only clients with a certificate of the CA\n"
	"  -u, --user=NAME            become this user once all is open\n"
	"  -P, --pid-file=PATH        write the process id there\n"
	"  -f, --foreground           stay in the foreground\n"
	"      --run=COMMAND          serve while COMMAND runs, with $uri, $unixsocket, $port\n"
	"  -q, --quiet                no warnings\n"
	"  -v, --verbose              tell of clients, too\n"
	"  -h, --help                 this text\n"
	"  -V, --version              the version\n"
	"\n"
	"Prints the URIs at which it can be reached, once it can. Ends on SIGTERM.\n";

enum long_option {
	OPTION_DEFAULT = 256,
	OPTION_DESCRIPTION,
	OPTION_DIRECT_IO,
	OPTION_FORCE,
	OPTION_LISTEN,
	OPTION_LONG_OPTIONS,
	OPTION_MAX_CONNECTIONS,
	OPTION_OFFSET,
	OPTION_OVERLAY,
	OPTION_RUN,
	OPTION_SIZELIMIT,
	OPTION_TLS_VERIFY_PEER,
};

static const struct option long_options[] = {
	{ "listen", required_argument, NULL, OPTION_LISTEN },
	{ "unix", required_argument, NULL, 'U' },
	{ "read-only", no_argument, NULL, 'r' },
	{ "default", required_argument, NULL, OPTION_DEFAULT },
	{ "description", required_argument, NULL, OPTION_DESCRIPTION },
	{ "offset", required_argument, NULL, OPTION_OFFSET },
	{ "sizelimit", required_argument, NULL, OPTION_SIZELIMIT },
	{ "overlay", optional_argument, NULL, OPTION_OVERLAY },
	{ "direct-io", no_argument, NULL, OPTION_DIRECT_IO },
	{ "force", no_argument, NULL, OPTION_FORCE },
	{ "max-connections", required_argument, NULL, OPTION_MAX_CONNECTIONS },
	{ "tls", required_argument, NULL, OPTION_TLS },
	{ "tls-certificates", required_argument, NULL, OPTION_TLS_CERTIFICATES },
	{ "tls-psk", required_argument, NULL, OPTION_TLS_PSK },
	{ "tls-verify-peer", no_argument, NULL, OPTION_TLS_VERIFY_PEER },
	{ "user", required_argument, NULL, 'u' },
	{ "pid-file", required_argument, NULL, 'P' },
	{ "foreground", no_argument, NULL, 'f' },
	{ "run", required_argument, NULL, OPTION_RUN },
	{ "quiet", no_argument, NULL, 'q' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ "long-options", no_argument, NULL, OPTION_LONG_OPTIONS },
	{ NULL, 0, NULL, 0 },
};

static enum command_status add_listen(struct serve_options *options)
{
	if (options->listen_count == MAX_LISTEN_OPTIONS)
		return usage_error("--listen: at most %d times", MAX_LISTEN_OPTIONS);
	options->listen[options->listen_count++] = optarg;
	return STATUS_DONE;
}

static enum command_status set_max_connections(struct serve_options *options)
{
	uint64_t number;

	if (parse_number(optarg, MOST_CONNECTIONS, &number) || !number)
		return usage_error("--max-connections: not a number from 1 to %d: %s",
			MOST_CONNECTIONS, optarg);
	options->server.max_connections = (unsigned int)number;
	return STATUS_DONE;
}

static enum command_status set_size(const char *option, uint64_t *bytes)
{
	int result = nbdt_parse_size(optarg, bytes);

	return result ? usage_error("%s: not a size: %s", option, optarg) : STATUS_DONE;
}

static enum command_status set_tls_mode(struct serve_options *options)
{
	static const char *const modes[] = {
		[NBDT_TLS_OFF] = "off",
		[NBDT_TLS_ON] = "on",
		[NBDT_TLS_REQUIRE] = "require",
	};

	for (unsigned int i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(optarg, modes[i]))
			continue;
		options->server.tls = (enum nbdt_tls_mode)i;
		options->tls_chosen = true;
		return STATUS_DONE;
	}
	return usage_error("--tls: neither off nor on nor require: %s", optarg);
}

/* Where an option of text goes. */
static const char **text_of(int option, struct serve_options *options)
{
	switch (option) {
	case 'U':
		return &options->socket;
	case 'u':
		return &options->user;
	case 'P':
		return &options->pid_file;
	case OPTION_DEFAULT:
		return &options->default_name;
	case OPTION_DESCRIPTION:
		return &options->description;
	case OPTION_RUN:
		return &options->run;
	case OPTION_TLS_CERTIFICATES:
		return &options->tls.certificates;
	case OPTION_TLS_PSK:
		return &options->tls.psk_file;
	default:
		return NULL;
	}
}

static enum command_status set_value(int option, struct serve_options *options)
{
	switch (option) {
	case OPTION_LISTEN:
		return add_listen(options);
	case OPTION_MAX_CONNECTIONS:
		return set_max_connections(options);
	case OPTION_OFFSET:
		return set_size("--offset", &options->image.file.offset);
	case OPTION_SIZELIMIT:
		return set_size("--sizelimit", &options->image.file.size_limit);
	case OPTION_OVERLAY:
		options->image.overlay = true;
		options->image.overlay_file = optarg;
		return STATUS_DONE;
	case OPTION_TLS:
		return set_tls_mode(options);
	default:
		*text_of(option, options) = optarg;
		return STATUS_DONE;
	}
}

static enum command_status set_option(int option, struct serve_options *options)
{
	switch (option) {
	case 'f':
		options->foreground = true;
		return STATUS_DONE;
	case 'q':
		verbosity = QUIET;
		return STATUS_DONE;
	case 'r':
		options->image.file.read_only = true;
		return STATUS_DONE;
	case 'v':
		verbosity = VERBOSE;
		return STATUS_DONE;
	case OPTION_DIRECT_IO:
		options->image.file.direct_io = true;
		return STATUS_DONE;
	case OPTION_FORCE:
		options->image.file.share = true;
		return STATUS_DONE;
	case OPTION_TLS_VERIFY_PEER:
		options->tls.verify_peer = true;
		return STATUS_DONE;
	case '?':
		point_to_help();
		return STATUS_USAGE;
	default:
		return set_value(option, options);
	}
}

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

static enum command_status check_tls(struct serve_options *options)
{
	const struct nbdt_tls_options *tls = &options->tls;
	bool proves = tls->certificates || tls->psk_file;

	if (tls->certificates && tls->psk_file)
		return usage_error("--tls-certificates and --tls-psk exclude each other");
	if (!options->tls_chosen && (proves || tls->verify_peer))
		options->server.tls = NBDT_TLS_REQUIRE;
	if (options->server.tls == NBDT_TLS_OFF && (proves || tls->verify_peer))
		return usage_error("--tls=off: another option asks for TLS");
	if (options->server.tls != NBDT_TLS_OFF && !proves)
		return usage_error("TLS needs --tls-certificates or --tls-psk");
	warn_of_readers(tls->psk_file);
	options->server.tls_options = tls;
	return STATUS_DONE;
}

static enum command_status check_options(struct serve_options *options)
{
	const struct image_options *image = &options->image;

	if (!options->file_count)
		return usage_error("no FILE to serve");
	if (image->overlay && image->file.read_only)
		return usage_error("--overlay and --read-only exclude each other");
	if (image->overlay_file && options->file_count > 1)
		return usage_error("--overlay=FILE is for a single export");
	if ((image->file.offset || image->file.size_limit) && options->file_count > 1)
		return usage_error("--offset and --sizelimit are for a single export");
	return check_tls(options);
}

enum command_status serve_read_arguments(int argc, char **argv, struct serve_options *options)
{
	int option;

	options->server.max_connections = DEFAULT_CONNECTIONS;
	/* Not only kernels come to read: every byte is served. */
	options->image.file.block_size = 1;
	options->image.busy_remedy = "--force serves it all the same";
	while ((option = getopt_long(argc, argv, "U:ru:P:fqvhV", long_options, NULL)) != -1) {
		if (print_and_exit(option))
			exit((int)finish_stdout(STATUS_DONE));
		enum command_status status = set_option(option, options);
		if (status)
			return status;
	}
	options->files = argv + optind;
	options->file_count = (size_t)(argc - optind);
	return check_options(options);
}
