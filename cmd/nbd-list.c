/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-list: this machine's NBD devices, or a server's exports. */
#include "nbd-list.h"

#include "devices.h"
#include "server-address.h"

static enum command_status read_address(const struct list_options *options, struct nbdt_uri **uri)
{
	struct nbdt_error err;

	if (options->all)
		return usage_error("--all is for devices");
	if (options->mode != LIST_ALL && table_is_asked_for(&options->table))
		return usage_error("of the table's options only --json goes with --map and --size");
	if (!options->socket)
		return read_server_address(options->operand, NULL, options->name, uri);
	if (options->operand)
		return usage_error("-u takes no HOST or URI beside it: %s", options->operand);
	if (nbdt_uri_unix(options->socket, options->name ? options->name : "", uri, &err))
		return report(NULL, &err);
	return STATUS_DONE;
}

static enum command_status ask_server(
	const struct list_options *options, const struct nbdt_uri *uri, bool *answer)
{
	switch (options->mode) {
	case LIST_MAP:
		return list_map(uri, options);
	case LIST_SIZE:
		return list_size(uri, options);
	case LIST_TEST:
		return list_test(uri, options, answer);
	default:
		return list_exports(uri, options);
	}
}

static enum command_status list_server(const struct list_options *options, bool *answer)
{
	struct nbdt_uri *uri = NULL;
	enum command_status status = read_address(options, &uri);

	if (!status)
		status = apply_tls_options(&options->tls, uri);
	if (!status)
		status = ask_server(options, uri, answer);
	nbdt_uri_free(uri);
	return status;
}

static enum command_status list(const struct list_options *options, bool *answer)
{
	const char *operand = options->operand;
	int index = operand ? nbdt_device_parse(operand, false) : NBDT_INDEX_ANY;

	if (options->socket || (operand && index < 0))
		return list_server(options, answer);
	if (options->mode != LIST_ALL)
		return usage_error("which server?");
	if (options->tls.required || options->tls.off)
		return usage_error("the options of TLS are for a server");
	return list_devices(index, options);
}

int main(int argc, char **argv)
{
	struct list_options options = { 0 };
	bool answer = true;

	open_standard_descriptors();
	enum command_status status = list_read_options(argc, argv, &options);
	if (options.mode == LIST_CHECK)
		return status ? 2 : check_device(options.device);
	if (!status)
		status = list(&options, &answer);
	status = finish_stdout(status);
	/* nbdinfo --can, --is: 0 true, 2 false, 1 error. */
	if (options.mode == LIST_TEST)
		return status ? 1 : answer ? 0 : 2;
	return (int)status;
}
