/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd-connect: an export as a block device. Operands in; the options are in connect-options.c, the
 * work is in connect-attach.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices.h"
#include "nbd-connect.h"
#include "server-address.h"

/* Takes the device off the end of the operands, if there is one. */
static void take_device(struct connect_arguments *arguments)
{
	if (!arguments->operand_count)
		return;
	int index = nbdt_device_parse(arguments->operands[arguments->operand_count - 1], false);
	if (index < 0)
		return;
	arguments->connect.index = index;
	arguments->operand_count--;
}

static bool is_uri(const char *operand)
{
	return strstr(operand, "://");
}

static enum command_status parse_unix(struct connect_arguments *arguments)
{
	struct nbdt_error err;

	if (arguments->operand_count)
		return usage_error("-u takes no HOST or URI beside it: %s", arguments->operands[0]);
	if (nbdt_uri_unix(arguments->socket, arguments->name ? arguments->name : "",
		    &arguments->connect.uris[0], &err))
		return report(NULL, &err);
	arguments->connect.uri_count = 1;
	return STATUS_DONE;
}

/* Nobody can tell the second operand of nbd-client's HOST PORT from a device's number. */
static enum command_status parse_host(struct connect_arguments *arguments)
{
	char **operands = arguments->operands;
	const char *port = arguments->operand_count > 1 ? operands[1] : NULL;

	if (arguments->operand_count > 2)
		return usage_error("too many operands");
	if (port && (is_uri(operands[0]) || is_uri(port)))
		return usage_error("several addresses of one export must all be URIs");
	if (port && arguments->connect.index == NBDT_INDEX_ANY)
		return usage_error("%s: is this a port or a device? Write HOST:PORT, or /dev/nbdN",
			port);
	arguments->connect.uri_count = 1;
	return read_server_address(
		operands[0], port, arguments->name, &arguments->connect.uris[0]);
}

/* One URI or several, or nbd-client's forms. */
static enum command_status parse_addresses(struct connect_arguments *arguments)
{
	struct connect_options *connect = &arguments->connect;
	enum command_status status = STATUS_DONE;
	int uri_count = 0;

	while (uri_count < arguments->operand_count && is_uri(arguments->operands[uri_count]))
		uri_count++;
	connect->uris = calloc((size_t)uri_count + 1, sizeof(struct nbdt_uri *));
	if (!connect->uris)
		return usage_error("out of memory");
	if (arguments->socket)
		return parse_unix(arguments);
	if (!arguments->operand_count)
		return usage_error("no URI or HOST to connect to");
	if (uri_count < arguments->operand_count)
		return parse_host(arguments);
	while (!status && connect->uri_count < (size_t)uri_count) {
		size_t i = connect->uri_count++;

		status = read_server_address(
			arguments->operands[i], NULL, arguments->name, &connect->uris[i]);
	}
	return status;
}

static void free_addresses(struct connect_options *connect)
{
	for (size_t i = 0; i < connect->uri_count; i++)
		nbdt_uri_free(connect->uris[i]);
	free(connect->uris);
}

static enum command_status attach(struct connect_arguments *arguments, int argc, char **argv)
{
	struct nbdt_entry entry = { 0 };

	take_device(arguments);
	enum command_status status = connect_expand_entry(arguments, argc, argv, &entry);
	if (!status)
		status = parse_addresses(arguments);
	if (!status)
		status = connect_attach(&arguments->connect);
	free_addresses(&arguments->connect);
	nbdt_entry_clear(&entry);
	return status;
}

static enum command_status detach(int index)
{
	struct nbdt_error err;

	return nbdt_detach(index, NULL, &err) ? report(NULL, &err) : STATUS_DONE;
}

static int run(struct connect_arguments *arguments, int argc, char **argv)
{
	if (arguments->mode == CONNECT_ATTACH)
		return (int)attach(arguments, argc, argv);
	if (arguments->operand_count != 1 || arguments->entry)
		return (int)usage_error("exactly one DEVICE");
	if (arguments->mode == CONNECT_CHECK)
		return check_device(arguments->operands[0]);
	int index = nbdt_device_parse(arguments->operands[0], true);
	if (index < 0)
		return (int)usage_error("%s: not an NBD device", arguments->operands[0]);
	return (int)detach(index);
}

int main(int argc, char **argv)
{
	struct connect_arguments arguments;

	open_standard_descriptors();
	connect_set_defaults(&arguments);
	int status = (int)connect_read_arguments(argc, argv, &arguments);
	if (!status)
		status = run(&arguments, argc, argv);
	return (int)finish_stdout((enum command_status)status);
}
