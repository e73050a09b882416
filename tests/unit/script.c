/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "nbdtools.h"
#include "script.h"
#include "tls-peer.h"
#include "wire.h"

static bool over_tls;

int scripts_over_tls(void **state)
{
	over_tls = true;
	return tls_keys_set_up(state);
}

int scripts_in_the_clear(void **state)
{
	over_tls = false;
	return tls_files_tear_down(state);
}

struct script *script_new(void)
{
	struct script *script = calloc(1, sizeof(*script));

	assert_non_null(script);
	script->limit = SIZE_MAX;
	return script;
}

void script_add(struct script *script, enum script_action action, const void *bytes, size_t length)
{
	assert_true(script->count < SCRIPT_STEPS);
	assert_true(length <= SCRIPT_BYTES - script->used);
	if (length)
		memcpy(script->bytes + script->used, bytes, length);
	script->steps[script->count++] = (struct script_step){ action, script->used, length };
	script->used += length;
}

size_t script_sent(const struct script *script)
{
	size_t sent = 0;

	for (size_t i = 0; i < script->count; i++)
		if (script->steps[i].action == SCRIPT_SEND)
			sent += script->steps[i].length;
	return sent;
}

void script_note_length(struct script *script, size_t offset)
{
	assert_true(script->length_count < SCRIPT_LENGTHS);
	script->lengths[script->length_count++] = script->used + offset;
}

/* No length is noted so far: those in the clear are another matter. */
static void start_tls(struct script *script)
{
	script_expect_option(script, NBD_OPT_STARTTLS, NULL, 0);
	script_ack(script, NBD_OPT_STARTTLS);
	script->length_count = 0;
	script->tls = script->count;
	script_add(script, SCRIPT_TLS, NULL, 0);
}

void script_newstyle(struct script *script, uint16_t flags, uint32_t client_flags)
{
	unsigned char greeting[18], answer[4];

	wire_put64(greeting, NBD_MAGIC);
	wire_put64(greeting + 8, NBD_OPTS_MAGIC);
	wire_put16(greeting + 16, flags);
	wire_put32(answer, client_flags);
	script_add(script, SCRIPT_SEND, greeting, sizeof(greeting));
	script_add(script, SCRIPT_EXPECT, answer, sizeof(answer));
	if (over_tls && flags & NBD_FLAG_FIXED_NEWSTYLE)
		start_tls(script);
}

void script_greeting(struct script *script)
{
	script_newstyle(script, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES,
		NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES);
}

void script_oldstyle(struct script *script, uint64_t size, uint32_t flags)
{
	unsigned char greeting[152] = { 0 };

	wire_put64(greeting, NBD_MAGIC);
	wire_put64(greeting + 8, NBD_CLISERV_MAGIC);
	wire_put64(greeting + 16, size);
	wire_put32(greeting + 24, flags);
	script_add(script, SCRIPT_SEND, greeting, sizeof(greeting));
}

void script_expect_option(
	struct script *script, uint32_t option, const void *data, size_t length)
{
	struct nbd_option_header header;

	wire_put64(&header.magic, NBD_OPTS_MAGIC);
	wire_put32(&header.option, option);
	wire_put32(&header.length, (uint32_t)length);
	script_add(script, SCRIPT_EXPECT, &header, sizeof(header));
	if (length)
		script_add(script, SCRIPT_EXPECT, data, length);
}

void script_expect_inquiry(struct script *script, uint32_t option, const char *name)
{
	static const unsigned char wishes[] = { 0, 2, 0, 2, 0, 3 };
	unsigned char data[4 + NBDT_MAX_STRING + sizeof(wishes)];
	size_t length = strlen(name);

	assert_true(length <= NBDT_MAX_STRING);
	wire_put32(data, (uint32_t)length);
	memcpy(data + 4, name, length);
	memcpy(data + 4 + length, wishes, sizeof(wishes));
	script_expect_option(script, option, data, 4 + length + sizeof(wishes));
}

void script_expect_abort(struct script *script)
{
	script_expect_option(script, NBD_OPT_ABORT, NULL, 0);
	script_ack(script, NBD_OPT_ABORT);
}

void script_reply(
	struct script *script, uint32_t option, uint32_t reply, const void *data, size_t length)
{
	struct nbd_option_reply_header header;

	wire_put64(&header.magic, NBD_OPT_REPLY_MAGIC);
	wire_put32(&header.option, option);
	wire_put32(&header.reply, reply);
	wire_put32(&header.length, (uint32_t)length);
	script_note_length(script, offsetof(struct nbd_option_reply_header, length));
	script_add(script, SCRIPT_SEND, &header, sizeof(header));
	if (length)
		script_add(script, SCRIPT_SEND, data, length);
}

void script_ack(struct script *script, uint32_t option)
{
	script_reply(script, option, NBD_REP_ACK, NULL, 0);
}

void script_listed(struct script *script, const char *name, const char *description)
{
	unsigned char data[4 + 2 * (NBDT_MAX_STRING + 1)];
	size_t length = strlen(name);
	size_t total = 4 + length;

	wire_put32(data, (uint32_t)length);
	memcpy(data + 4, name, length);
	if (description) {
		memcpy(data + total, description, strlen(description));
		total += strlen(description);
	}
	script_note_length(script, sizeof(struct nbd_option_reply_header));
	script_reply(script, NBD_OPT_LIST, NBD_REP_SERVER, data, total);
}

void script_info_export(struct script *script, uint32_t option, uint64_t size, uint16_t flags)
{
	unsigned char data[12];

	wire_put16(data, NBD_INFO_EXPORT);
	wire_put64(data + 2, size);
	wire_put16(data + 10, flags);
	script_reply(script, option, NBD_REP_INFO, data, sizeof(data));
}

void script_info_block_size(struct script *script, uint32_t option, uint32_t minimum,
	uint32_t preferred, uint32_t maximum)
{
	unsigned char data[14];

	wire_put16(data, NBD_INFO_BLOCK_SIZE);
	wire_put32(data + 2, minimum);
	wire_put32(data + 6, preferred);
	wire_put32(data + 10, maximum);
	script_reply(script, option, NBD_REP_INFO, data, sizeof(data));
}

void script_info_text(
	struct script *script, uint32_t option, uint16_t information, const char *text)
{
	unsigned char data[2 + NBDT_MAX_STRING + 1];

	wire_put16(data, information);
	memcpy(data + 2, text, strlen(text));
	script_reply(script, option, NBD_REP_INFO, data, 2 + strlen(text));
}
