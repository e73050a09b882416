/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pre-shared keys: files as psktool(1) writes them, a line of USER:HEXADECIMAL-KEY for each user.
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "tls.h"

struct line {
	unsigned int number; /* from 1 */
	gnutls_datum_t user;
	gnutls_datum_t key; /* in hexadecimal digits; without data: there was no colon */
};

static size_t trimmed_length(const unsigned char *text, size_t length)
{
	while (length && strchr(" \t\r", text[length - 1]))
		length--;
	return length;
}

/* Takes the next line that is not empty off the file's rest. False: there is none. */
static bool next_line(gnutls_datum_t *rest, struct line *line)
{
	unsigned int length = 0;

	while (rest->size && !length) {
		unsigned char *begin = rest->data;
		unsigned char *newline = memchr(begin, '\n', rest->size);
		unsigned int whole = newline ? (unsigned int)(newline - begin) : rest->size;

		line->number++;
		length = (unsigned int)trimmed_length(begin, whole);
		unsigned char *colon = memchr(begin, ':', length);
		line->user.data = begin;
		line->user.size = colon ? (unsigned int)(colon - begin) : length;
		line->key.data = colon ? colon + 1 : NULL;
		line->key.size = colon ? length - line->user.size - 1 : 0;
		rest->data += newline ? whole + 1 : whole;
		rest->size -= newline ? whole + 1 : whole;
	}
	return length;
}

/* *KEY is for gnutls_free(). Returns a code of GnuTLS. */
static int decode_key(const struct line *line, gnutls_datum_t *key)
{
	if (!line->key.size)
		return GNUTLS_E_PARSING_ERROR;
	return gnutls_hex_decode2(&line->key, key);
}

static bool find_user(const gnutls_datum_t *file, const char *user, struct line *line)
{
	gnutls_datum_t rest = *file;

	memset(line, 0, sizeof(*line));
	while (next_line(&rest, line)) {
		if (line->key.data && line->user.size == strlen(user)
			&& !memcmp(line->user.data, user, line->user.size))
			return true;
	}
	return false;
}

/* GnuTLS asks for a client's key. 1: there is no such user, which the client is not told. */
static int give_key(gnutls_session_t session, const char *user, gnutls_datum_t *key)
{
	const struct tls_credentials *credentials = gnutls_session_get_ptr(session);
	struct line line;

	if (!find_user(&credentials->keys, user, &line))
		return 1;
	return decode_key(&line, key) ? -1 : 0;
}

/* A mistake in any line is told when the server starts, not to a client. */
static int check_keys(const gnutls_datum_t *file, const char *path, struct nbdt_error *err)
{
	gnutls_datum_t rest = *file;
	struct line line = { 0 };
	unsigned int count = 0;

	for (; next_line(&rest, &line); count++) {
		gnutls_datum_t key = { 0 };
		int code = decode_key(&line, &key);

		if (!code)
			gnutls_memset(key.data, 0, key.size);
		gnutls_free(key.data);
		if (code || !line.user.size)
			return nbdt_error_set(err, -EINVAL,
				"%.300s, line %u: not USER:HEXADECIMAL-KEY, as psktool writes it",
				path, line.number);
	}
	if (count)
		return 0;
	return nbdt_error_set(err, -EINVAL,
		"%.300s has no keys: psktool -u USER -p FILE makes one", path);
}

static int read_server_keys(struct tls_credentials *credentials, const char *path,
	struct nbdt_error *err)
{
	int result = tls_file_read(path, &credentials->keys, err);

	if (!result)
		result = check_keys(&credentials->keys, path, err);
	if (result)
		return result;
	if (gnutls_psk_allocate_server_credentials(&credentials->server_psk))
		return nbdt_error_errno(err, -ENOMEM, "cannot use %.300s", path);
	gnutls_psk_set_server_credentials_function(credentials->server_psk, give_key);
	return 0;
}

/* The name of the user who runs this, as libnbd has it; for free(). NULL: it has none. */
static char *own_name(void)
{
	char buffer[1024];
	struct passwd entry, *found = NULL;

	if (getpwuid_r(geteuid(), &entry, buffer, sizeof(buffer), &found) || !found)
		return NULL;
	return strdup(found->pw_name);
}

static int use_client_key(struct tls_credentials *credentials, const gnutls_datum_t *file,
	const char *path, const char *user, struct nbdt_error *err)
{
	struct line line;

	if (!find_user(file, user, &line))
		return nbdt_error_set(err, -EINVAL,
			"%.300s has no key of the user '%.60s': name one that it has", path, user);
	if (gnutls_psk_allocate_client_credentials(&credentials->client_psk))
		return nbdt_error_errno(err, -ENOMEM, "cannot use %.300s", path);
	int code = GNUTLS_E_PARSING_ERROR;
	if (line.key.size)
		code = gnutls_psk_set_client_credentials(
			credentials->client_psk, user, &line.key, GNUTLS_PSK_KEY_HEX);
	if (!code)
		return 0;
	return nbdt_error_set(err, -EINVAL, "%.300s, line %u: the key: %s", path, line.number,
		gnutls_strerror(code));
}

static int read_client_key(struct tls_credentials *credentials,
	const struct nbdt_tls_options *options, struct nbdt_error *err)
{
	CLEANUP_FREE char *own = options->user ? NULL : own_name();
	const char *user = options->user ? options->user : own;
	gnutls_datum_t file = { 0 };

	if (!user)
		return nbdt_error_set(err, -EINVAL,
			"TLS with a pre-shared key needs the name of a user in %.300s",
			options->psk_file);
	int result = tls_file_read(options->psk_file, &file, err);
	if (!result)
		result = use_client_key(credentials, &file, options->psk_file, user, err);
	tls_file_free(&file);
	return result;
}

int tls_read_keys(struct tls_credentials *credentials, const struct nbdt_tls_options *options,
	struct nbdt_error *err)
{
	return credentials->server
		       ? read_server_keys(credentials, options->psk_file, err)
		       : read_client_key(credentials, options, err);
}
