/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the handshake, one function for each ("Option types"). */
#include <errno.h>
#include <string.h>

#include "nbd-protocol.h"
#include "server-handshake.h"
#include "wire.h"

/* False: there are too many clients. The sentence is for the client as well as for us. */
static bool admit(struct handshake *handshake)
{
	if (server_admit(handshake->server))
		return true;
	nbdt_error_set(&handshake->error, -EUSERS, "no more than %u clients are served at a time",
		handshake->server->options.max_connections);
	return false;
}

/* A client that was admitted. */
static void choose(struct handshake *handshake, const struct server_export *export)
{
	handshake->choice.export = export;
	handshake->choice.style = handshake->agreement.style;
	handshake->choice.allocation = handshake->agreement.allocation == export;
	handshake->over = true;
}

/* The one option that cannot be refused but by hanging up. */
static int choose_by_name(struct handshake *handshake)
{
	struct nbd_export_name_reply reply = { 0 };
	const struct server_export *export = NULL;

	/* Its reply has no extended form (NBD_OPT_EXTENDED_HEADERS). */
	if (handshake->length <= NBDT_MAX_STRING && handshake->agreement.style != STYLE_EXTENDED)
		export = server_find_export(handshake->server, (const char *)handshake->data,
			handshake->length);
	if (!export)
		return -EPROTO;
	if (!admit(handshake))
		return -EUSERS;
	choose(handshake, export);
	wire_put64(&reply.size, nbdt_device_size(export->device));
	wire_put16(&reply.flags, server_flags(export->device, handshake->agreement.style));
	size_t length = sizeof(reply) - (handshake->no_zeroes ? sizeof(reply.zeroes) : 0);
	return handshake_send(handshake, &reply, length);
}

/* Bears a client that has closed already. */
static int abort_handshake(struct handshake *handshake)
{
	handshake_acknowledge(handshake);
	handshake->over = true;
	return 0;
}

static int add_server(struct handshake *handshake, const struct server_export *export)
{
	unsigned char data[4 + 2 * NBDT_MAX_STRING];
	size_t name_length = strlen(export->name);
	size_t length = 4 + name_length;

	wire_put32(data, (uint32_t)name_length);
	memcpy(data + 4, export->name, name_length);
	if (export->description) {
		size_t description_length = strlen(export->description);

		memcpy(data + length, export->description, description_length);
		length += description_length;
	}
	return handshake_add_reply(handshake, NBD_REP_SERVER, data, length);
}

static int list(struct handshake *handshake)
{
	const struct nbdt_server *server = handshake->server;
	int result = 0;

	if (handshake->length)
		return handshake_refuse(handshake, NBD_REP_ERR_INVALID, "LIST takes no data");
	for (size_t i = 0; !result && i < server->export_count; i++) {
		result = add_server(handshake, &server->exports[i]);
		/* The next one may not fit any more. */
		if (!result)
			result = handshake_send_replies(handshake);
	}
	return result ? result : handshake_acknowledge(handshake);
}

/* The data of INFO and GO. */
struct information_request {
	const char *name;
	size_t name_length;
	bool wants_name;
	bool wants_description;
	bool wants_block_sizes;
};

static void note_wish(struct information_request *request, unsigned int information)
{
	switch (information) {
	case NBD_INFO_NAME:
		request->wants_name = true;
		break;
	case NBD_INFO_DESCRIPTION:
		request->wants_description = true;
		break;
	case NBD_INFO_BLOCK_SIZE:
		request->wants_block_sizes = true;
		break;
	default: /* unknown ones are ignored */
		break;
	}
}

/*
 * 32-bit length, name, 16-bit number N, N informations of 16 bits: it must come out even (rule of
 * NBD_OPT_GO).
 */
static bool read_request(const struct handshake *handshake, struct information_request *request)
{
	const unsigned char *at = handshake->data;
	size_t length = handshake->length;

	memset(request, 0, sizeof(*request));
	if (length < 6)
		return false;
	request->name_length = wire_get32(at);
	if (request->name_length > length - 6 || request->name_length > NBDT_MAX_STRING)
		return false;
	request->name = (const char *)at + 4;
	at += 4 + request->name_length;
	size_t count = wire_get16(at);
	if (length != 6 + request->name_length + 2 * count)
		return false;
	for (at += 2; count; count--, at += 2)
		note_wish(request, wire_get16(at));
	return true;
}

static int add_export_info(struct handshake *handshake, const struct nbdt_device *device)
{
	unsigned char data[12];

	wire_put16(data, NBD_INFO_EXPORT);
	wire_put64(data + 2, nbdt_device_size(device));
	wire_put16(data + 10, server_flags(device, handshake->agreement.style));
	return handshake_add_reply(handshake, NBD_REP_INFO, data, sizeof(data));
}

static int add_text_info(
	struct handshake *handshake, uint16_t information, const char *text, size_t length)
{
	unsigned char data[2 + NBDT_MAX_STRING];

	wire_put16(data, information);
	memcpy(data + 2, text, length);
	return handshake_add_reply(handshake, NBD_REP_INFO, data, 2 + length);
}

static int add_block_size_info(struct handshake *handshake, const struct nbdt_device *device)
{
	unsigned char data[14];

	wire_put16(data, NBD_INFO_BLOCK_SIZE);
	wire_put32(data + 2, device->block_minimum);
	wire_put32(data + 6, device->block_preferred);
	wire_put32(data + 10, server_block_maximum(device));
	return handshake_add_reply(handshake, NBD_REP_INFO, data, sizeof(data));
}

static int add_information(struct handshake *handshake, const struct server_export *export,
	const struct information_request *request)
{
	int result = add_export_info(handshake, export->device);

	if (!result && request->wants_name)
		result = add_text_info(
			handshake, NBD_INFO_NAME, export->name, strlen(export->name));
	if (!result && request->wants_description && export->description)
		result = add_text_info(handshake, NBD_INFO_DESCRIPTION, export->description,
			strlen(export->description));
	if (!result && request->wants_block_sizes)
		result = add_block_size_info(handshake, export->device);
	return result;
}

/* INFO and GO say the same; GO then chooses the export. */
static int inform(struct handshake *handshake)
{
	struct information_request request;

	if (!read_request(handshake, &request))
		return handshake_refuse(handshake, NBD_REP_ERR_INVALID,
			"the option's length does not fit what it holds");
	const struct server_export *export =
		server_find_export(handshake->server, request.name, request.name_length);
	if (!export)
		return handshake_refuse(
			handshake, NBD_REP_ERR_UNKNOWN, "there is no export of this name");
	if (handshake->option == NBD_OPT_GO && !admit(handshake))
		return handshake_refuse(
			handshake, NBD_REP_ERR_POLICY, handshake->error.text);
	if (handshake->option == NBD_OPT_GO) {
		choose(handshake, export);
		handshake->choice.block_sizes = request.wants_block_sizes;
	}
	int result = add_information(handshake, export, &request);
	return result ? result : handshake_acknowledge(handshake);
}

/* STRUCTURED_REPLY and EXTENDED_HEADERS, of which the latter includes the former. */
static int agree_on_style(struct handshake *handshake, enum message_style style)
{
	if (handshake->length)
		return handshake_refuse(
			handshake, NBD_REP_ERR_INVALID, "this option takes no data");
	if (handshake->agreement.style > style)
		return handshake_refuse(handshake, NBD_REP_ERR_EXT_HEADER_REQD,
			"extended headers were agreed on already, and take precedence");
	handshake->agreement.style = style;
	return handshake_acknowledge(handshake);
}

int handshake_option(struct handshake *handshake)
{
	switch (handshake->option) {
	case NBD_OPT_EXPORT_NAME:
		return choose_by_name(handshake);
	case NBD_OPT_ABORT:
		return abort_handshake(handshake);
	case NBD_OPT_LIST:
		return list(handshake);
	case NBD_OPT_INFO:
	case NBD_OPT_GO:
		return inform(handshake);
	case NBD_OPT_STARTTLS:
		return handshake_start_tls(handshake);
	case NBD_OPT_STRUCTURED_REPLY:
		return agree_on_style(handshake, STYLE_STRUCTURED);
	case NBD_OPT_EXTENDED_HEADERS:
		return agree_on_style(handshake, STYLE_EXTENDED);
	case NBD_OPT_LIST_META_CONTEXT:
	case NBD_OPT_SET_META_CONTEXT:
		return handshake_contexts(handshake);
	default:
		return handshake_refuse(
			handshake, NBD_REP_ERR_UNSUP, "this server has no such option");
	}
}
