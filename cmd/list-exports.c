/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-list with a server: what it is and what it exports, with nbdinfo's names. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "escape.h"
#include "nbd-list.h"
#include "table.h"

struct listing {
	struct nbdt_uri *uri;
	struct nbdt_client *client; /* NULL: the next question opens a connection */
	enum nbdt_handshake handshake;
	bool tls;
	unsigned int timeout; /* milliseconds for the whole */
	struct timespec begin;
	struct json_object *exports;
	enum command_status status;
};

static unsigned int time_left(const struct listing *listing)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	int64_t passed = (int64_t)(now.tv_sec - listing->begin.tv_sec) * 1000
			 + (now.tv_nsec - listing->begin.tv_nsec) / 1000000;
	return passed < listing->timeout ? listing->timeout - (unsigned int)passed : 0;
}

static int open_client(struct listing *listing, struct nbdt_error *err)
{
	if (listing->client)
		return 0;
	if (!time_left(listing))
		return nbdt_error_set(err, -ETIMEDOUT, "no time left (--timeout)");
	int result = nbdt_client_connect(listing->uri, time_left(listing), &listing->client, err);
	if (result)
		return result;
	listing->handshake = nbdt_client_handshake(listing->client);
	listing->tls = nbdt_client_uses_tls(listing->client);
	return 0;
}

static void close_client(struct listing *listing)
{
	nbdt_client_close(listing->client);
	listing->client = NULL;
}

/* Asks by INFO where there is one; otherwise by choosing the export, which costs a connection. */
static int ask_export(struct listing *listing, const char *name, struct nbdt_export *export,
	struct nbdt_error *err)
{
	int result = open_client(listing, err);
	if (result)
		return result;
	result = -EOPNOTSUPP;
	if (listing->handshake == NBDT_HANDSHAKE_FIXED_NEWSTYLE)
		result = nbdt_client_info(listing->client, name, export, err);
	/* nbd-server (3.24) answers INFO with a size of 0; only GO makes it look at the file. */
	if (!result && !export->size) {
		nbdt_export_clear(export);
		result = -EOPNOTSUPP;
	}
	if (!result || result == -ENXIO || result == -EREMOTEIO)
		return result;
	if (result == -EOPNOTSUPP)
		result = nbdt_client_go(listing->client, name, export, err);
	close_client(listing);
	return result;
}

static void add_string(struct json_object *object, const char *key, const char *text)
{
	/* JSON is UTF-8; a name that isn't can only be shown escaped. */
	char *valid = escape_invalid_utf8(text);

	if (valid)
		json_object_object_add(object, key, json_object_new_string(valid));
	free(valid);
}

static void add_flag(struct json_object *object, const char *key,
	const struct nbdt_export *export, uint16_t flag)
{
	json_object_object_add(object, key, json_object_new_boolean(export->flags & flag));
}

static void add_number(struct json_object *object, const char *key, uint64_t number)
{
	json_object_object_add(object, key, json_object_new_uint64(number));
}

static void add_uri(struct listing *listing, struct json_object *object, const char *name)
{
	struct nbdt_uri uri = *listing->uri;

	/* Only formatted, never freed: the name stays the caller's. */
	uri.export_name = (char *)(uintptr_t)name;
	char *text = nbdt_uri_format(&uri);
	if (text)
		json_object_object_add(object, "uri", json_object_new_string(text));
	free(text);
}

static void add_facts(struct json_object *object, const struct nbdt_export *export)
{
	char size[32];

	add_flag(object, "is_rotational", export, NBDT_FLAG_ROTATIONAL);
	add_flag(object, "is_read_only", export, NBDT_FLAG_READ_ONLY);
	add_flag(object, "can_cache", export, NBDT_FLAG_SEND_CACHE);
	add_flag(object, "can_df", export, NBDT_FLAG_SEND_DF);
	add_flag(object, "can_fast_zero", export, NBDT_FLAG_SEND_FAST_ZERO);
	add_flag(object, "can_flush", export, NBDT_FLAG_SEND_FLUSH);
	add_flag(object, "can_fua", export, NBDT_FLAG_SEND_FUA);
	add_flag(object, "can_multi_conn", export, NBDT_FLAG_CAN_MULTI_CONN);
	add_flag(object, "can_trim", export, NBDT_FLAG_SEND_TRIM);
	add_flag(object, "can_zero", export, NBDT_FLAG_SEND_WRITE_ZEROES);
	if (export->has_block_sizes) {
		add_number(object, "block_size_minimum", export->block_minimum);
		add_number(object, "block_size_preferred", export->block_preferred);
		add_number(object, "block_size_maximum", export->block_maximum);
	}
	add_number(object, "export-size", export->size);
	format_size(export->size, size, sizeof(size));
	add_string(object, "export-size-str", size);
}

/* Adds one export, or what the server said instead. */
static void add_export(struct listing *listing, const char *name, const char *description)
{
	struct json_object *object = json_object_new_object();
	struct nbdt_export export = { 0 };
	struct nbdt_error err;

	add_string(object, "export-name", name);
	int result = ask_export(listing, name, &export, &err);
	if (!description)
		description = export.description;
	if (description)
		add_string(object, "description", description);
	add_uri(listing, object, name);
	if (result) {
		add_string(object, "error", err.text);
		listing->status = worse_status(listing->status, status_of(result));
	} else {
		add_facts(object, &export);
	}
	nbdt_export_clear(&export);
	json_object_array_add(listing->exports, object);
}

/* Names are gathered first: the connection is busy while it lists. */
static int keep_name(const char *name, const char *description, void *arg)
{
	struct json_object *pair = json_object_new_array_ext(2);

	json_object_array_add(pair, json_object_new_string(name));
	json_object_array_add(pair, description ? json_object_new_string(description) : NULL);
	return json_object_array_add(arg, pair) ? -ENOMEM : 0;
}

static int add_listed_exports(struct listing *listing, struct nbdt_error *err)
{
	struct json_object *names = json_object_new_array();

	int result = nbdt_client_list(listing->client, keep_name, names, err);
	for (size_t i = 0; !result && i < json_object_array_length(names); i++) {
		struct json_object *pair = json_object_array_get_idx(names, i);
		struct json_object *description = json_object_array_get_idx(pair, 1);

		add_export(listing, json_object_get_string(json_object_array_get_idx(pair, 0)),
			description ? json_object_get_string(description) : NULL);
	}
	json_object_put(names);
	return result;
}

static int add_exports(struct listing *listing, struct nbdt_error *err)
{
	int result = -EOPNOTSUPP;

	if (!*listing->uri->export_name && listing->handshake == NBDT_HANDSHAKE_FIXED_NEWSTYLE)
		result = add_listed_exports(listing, err);
	/* A server may refuse to list, and yet serve. */
	if (result == -EREMOTEIO)
		say_warning("%s", err->text);
	if (result == -EOPNOTSUPP || result == -EREMOTEIO) {
		add_export(listing, listing->uri->export_name, NULL);
		return 0;
	}
	return result;
}

static struct json_object *describe_server(const struct listing *listing)
{
	static const char *const protocols[] = {
		[NBDT_HANDSHAKE_OLDSTYLE] = "oldstyle",
		[NBDT_HANDSHAKE_NEWSTYLE] = "newstyle",
		[NBDT_HANDSHAKE_FIXED_NEWSTYLE] = "newstyle-fixed",
	};
	struct json_object *server = json_object_new_object();

	add_string(server, "protocol", protocols[listing->handshake]);
	json_object_object_add(server, "TLS", json_object_new_boolean(listing->tls));
	json_object_object_add(server, "structured", json_object_new_boolean(false));
	json_object_object_add(server, "extended", json_object_new_boolean(false));
	json_object_object_add(server, "exports", json_object_get(listing->exports));
	return server;
}

static void print_escaped(const char *text)
{
	char *shown = escape_for_terminal(text);

	fputs(shown ? shown : "?", stdout);
	free(shown);
}

static void print_text(struct json_object *server)
{
	struct json_object *exports = json_object_object_get(server, "exports");

	printf("protocol: %s %s TLS\n",
		json_object_get_string(json_object_object_get(server, "protocol")),
		json_object_get_boolean(json_object_object_get(server, "TLS")) ? "with"
									       : "without");
	for (size_t i = 0; i < json_object_array_length(exports); i++) {
		struct json_object *export = json_object_array_get_idx(exports, i);

		printf("export=\"");
		print_escaped(json_object_get_string(
			json_object_object_get(export, "export-name")));
		printf("\":\n");
		json_object_object_foreach(export, key, value) {
			if (!strcmp(key, "export-name"))
				continue;
			printf("\t%s: ", key);
			print_escaped(json_object_get_string(value));
			putchar('\n');
		}
	}
}

enum command_status list_exports(struct nbdt_uri *uri, unsigned int timeout, bool json)
{
	struct listing listing = { .uri = uri, .timeout = timeout };
	struct nbdt_error err;

	clock_gettime(CLOCK_MONOTONIC, &listing.begin);
	if (open_client(&listing, &err))
		return report(NULL, &err);
	listing.exports = json_object_new_array();
	int result = add_exports(&listing, &err);
	if (result)
		listing.status = report(NULL, &err);
	close_client(&listing);
	struct json_object *server = describe_server(&listing);
	if (json)
		puts(json_object_to_json_string_ext(
			server, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		print_text(server);
	json_object_put(server);
	json_object_put(listing.exports);
	return listing.status;
}
