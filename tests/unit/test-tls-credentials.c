/* SPDX-License-Identifier: Apache-2.0 */
/* What certificates and keys are read from, and what is said of files that don't fit. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tls-peer.h"
#include "tls.h"

#define SERVER true
#define CLIENT false

static void check_good(bool server, const struct nbdt_tls_options *options)
{
	struct tls_credentials *credentials = NULL;
	struct nbdt_error err;

	if (tls_credentials_new(server, options, &credentials, &err))
		fail_msg("%s", err.text);
	tls_credentials_free(credentials);
}

static void check_bad(
	bool server, const struct nbdt_tls_options *options, int code, const char *word)
{
	struct tls_credentials *credentials = NULL;
	struct nbdt_error err = { 0 };
	int result = tls_credentials_new(server, options, &credentials, &err);

	if (result != code || err.code != code || !strstr(err.text, word))
		fail_msg("%d: '%s' does not say '%s'", result, err.text, word);
	assert_null(credentials);
}

/* A file in the folder of all files. */
static const char *write_file(const char *name, const char *text, size_t length)
{
	const char *path = tls_file(name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
	return path;
}

static struct nbdt_tls_options certificates_of(const char *folder)
{
	return (struct nbdt_tls_options){
		.certificates = tls_file(folder),
		.hostname = "localhost",
		.verify_peer = true,
	};
}

static void options_must_fit(void **state)
{
	struct nbdt_tls_options options = certificates_of("good");

	(void)state;
	check_good(CLIENT, &options);
	check_good(SERVER, &options);
	options.psk_file = tls_file("keys.psk");
	check_bad(CLIENT, &options, -EINVAL, "not by both");
	check_bad(SERVER, &options, -EINVAL, "not by both");
	options = (struct nbdt_tls_options){ .certificates = tls_file("good") };
	check_good(CLIENT, &options);
	options.verify_peer = true;
	check_bad(CLIENT, &options, -EINVAL, "host name");
	options.certificates = NULL;
	check_bad(SERVER, &options, -EINVAL, "a folder of certificates or a file");
}

static void client_needs_no_certificate_but_not_half_a_one(void **state)
{
	struct nbdt_tls_options options = certificates_of("ca-only");

	(void)state;
	check_good(CLIENT, &options);
	options = certificates_of("half-client");
	check_bad(CLIENT, &options, -ENOENT, "half-client/client-key.pem: No such file");
}

static void missing_files_are_named(void **state)
{
	struct nbdt_tls_options options = certificates_of("ca-only");

	(void)state;
	check_bad(SERVER, &options, -ENOENT, "ca-only/server-cert.pem: No such file");
	options = certificates_of("self-signed");
	check_bad(SERVER, &options, -ENOENT, "self-signed/ca-cert.pem");
	check_bad(CLIENT, &options, -ENOENT, "self-signed/ca-cert.pem");
	options.verify_peer = false;
	check_good(SERVER, &options);
	check_good(CLIENT, &options);
	options = certificates_of("nowhere");
	check_bad(CLIENT, &options, -ENOENT, "nowhere/ca-cert.pem");
}

/* One file, or all, of a folder to another one. */
static void copy_files(const char *folder, const char *name, const char *to)
{
	char command[400];

	snprintf(command, sizeof(command), "cp %s/%s %s", tls_file(folder), name, to);
	assert_int_equal(system(command), 0);
}

static void damaged_files_are_named_with_the_reason(void **state)
{
	struct nbdt_tls_options options = certificates_of("damaged");
	char path[200];

	(void)state;
	assert_int_equal(mkdir(tls_file("damaged"), 0700), 0);
	snprintf(path, sizeof(path), "%s/ca-cert.pem", tls_file("damaged"));
	FILE *file = fopen(path, "w");
	fputs("no certificate\n", file);
	fclose(file);
	check_bad(CLIENT, &options, -EINVAL, "damaged/ca-cert.pem: ");
	/* A key that belongs to another certificate. */
	copy_files("good", "server-cert.pem", tls_file("damaged"));
	copy_files("expired", "server-key.pem", tls_file("damaged"));
	check_bad(SERVER, &options, -EINVAL,
		"damaged/server-cert.pem: The certificate and the given key do not match");
}

static void what_is_no_file_is_refused(void **state)
{
	struct nbdt_tls_options options = { .psk_file = tls_file("good") };
	char *large = calloc(1, 1024 * 1024 + 1);

	(void)state;
	check_bad(SERVER, &options, -EINVAL, "good is no file of at most");
	options.psk_file = write_file("large.psk", large, 1024 * 1024 + 1);
	check_bad(SERVER, &options, -EINVAL, "large.psk is no file of at most");
	/* Nobody writes into it, and nobody waits for that. */
	options.psk_file = tls_file("pipe.psk");
	assert_int_equal(mkfifo(options.psk_file, 0600), 0);
	check_bad(SERVER, &options, -EINVAL, "pipe.psk is no file");
	free(large);
}

/* As another user, whom the folder lets in. */
static void unreadable_keys_are_told(void **state)
{
	struct nbdt_tls_options options = { .psk_file = tls_file("keys.psk"), .user = "alice" };
	char *folder = strdup(options.psk_file);

	(void)state;
	if (geteuid())
		skip();
	*strrchr(folder, '/') = '\0';
	assert_int_equal(chmod(folder, 0711), 0);
	assert_int_equal(chmod(options.psk_file, 0600), 0);
	free(folder);
	setfsuid(65534);
	check_bad(CLIENT, &options, -EACCES, "keys.psk: Permission denied");
	check_bad(SERVER, &options, -EACCES, "keys.psk: Permission denied");
	setfsuid(0);
}

static void client_with_psk_needs_a_user_of_the_file(void **state)
{
	struct nbdt_tls_options options = { .psk_file = tls_file("keys.psk"), .user = "bob" };

	(void)state;
	check_good(CLIENT, &options);
	options.user = "bo";
	check_bad(CLIENT, &options, -EINVAL, "keys.psk has no key of the user 'bo'");
	options.user = "";
	check_bad(CLIENT, &options, -EINVAL, "has no key of the user ''");
}

static void client_with_psk_is_by_default_who_runs_it(void **state)
{
	struct nbdt_tls_options options = { 0 };
	const struct passwd *self = getpwuid(geteuid());
	char line[200];

	(void)state;
	if (!self)
		skip();
	snprintf(line, sizeof(line), "other:00\n%s:0123456789abcdef\n", self->pw_name);
	options.psk_file = write_file("own.psk", line, strlen(line));
	check_good(CLIENT, &options);
	options.psk_file = write_file("own.psk", "other:00\n", 9);
	check_bad(CLIENT, &options, -EINVAL, self->pw_name);
}

static void keys_are_read_with_and_without_ends_of_lines(void **state)
{
	static const char text[] = "\nalice:0123456789abcdef  \r\n\n \r\nbob:00ff00ff";
	struct nbdt_tls_options options = { .user = "alice" };

	(void)state;
	options.psk_file = write_file("lines.psk", text, strlen(text));
	check_good(SERVER, &options);
	check_good(CLIENT, &options);
	options.user = "bob";
	check_good(CLIENT, &options);
}

static void lines_that_are_no_keys_are_counted(void **state)
{
	static const struct {
		const char *text, *word;
	} cases[] = {
		{ "", "has no keys: psktool" },
		{ "\n\n", "has no keys" },
		{ "alice:00\nbob\n", "bad.psk, line 2: not USER:HEXADECIMAL-KEY" },
		{ "alice:00\n\nbob:\n", "bad.psk, line 3" },
		{ "alice:0\n", "bad.psk, line 1" },
		{ "alice:xy\n", "bad.psk, line 1" },
		{ ":00\n", "bad.psk, line 1" },
	};
	struct nbdt_tls_options options = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		options.psk_file =
			write_file("bad.psk", cases[i].text, strlen(cases[i].text));
		check_bad(SERVER, &options, -EINVAL, cases[i].word);
	}
	options.user = "alice";
	options.psk_file = write_file("bad.psk", "alice:xy\n", 9);
	check_bad(CLIENT, &options, -EINVAL, "bad.psk, line 1: the key: ");
	options.psk_file = write_file("bad.psk", "alice:\n", 7);
	check_bad(CLIENT, &options, -EINVAL, "bad.psk, line 1: the key: ");
}

/* Those of libnbd, for one who names no folder, and is not root. */
static void usual_folder_is_found(void **state)
{
	const struct nbdt_tls_options options = { .hostname = "localhost", .verify_peer = true };
	const uid_t user = geteuid() ? geteuid() : 65534;
	const uid_t before = geteuid();
	char home[] = "/tmp/nbdt-home-XXXXXX", command[400], path[64];

	(void)state;
	assert_non_null(mkdtemp(home));
	assert_int_equal(chmod(home, 0755), 0);
	setenv("HOME", home, 1);
	snprintf(path, sizeof(path), "%s/.config/pki/libnbd", home);
	snprintf(command, sizeof(command), "mkdir -p %s", path);
	assert_int_equal(system(command), 0);
	assert_int_equal(seteuid(user), 0);
	check_bad(CLIENT, &options, -ENOENT, ".config/pki/libnbd/ca-cert.pem");
	assert_int_equal(seteuid(before), 0);
	copy_files("ca-only", "ca-cert.pem", path);
	assert_int_equal(seteuid(user), 0);
	check_good(CLIENT, &options);
	assert_int_equal(seteuid(before), 0);
	snprintf(command, sizeof(command), "rm -r %s", home);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_must_fit),
		cmocka_unit_test(client_needs_no_certificate_but_not_half_a_one),
		cmocka_unit_test(missing_files_are_named),
		cmocka_unit_test(damaged_files_are_named_with_the_reason),
		cmocka_unit_test(what_is_no_file_is_refused),
		cmocka_unit_test(unreadable_keys_are_told),
		cmocka_unit_test(client_with_psk_needs_a_user_of_the_file),
		cmocka_unit_test(client_with_psk_is_by_default_who_runs_it),
		cmocka_unit_test(keys_are_read_with_and_without_ends_of_lines),
		cmocka_unit_test(lines_that_are_no_keys_are_counted),
		cmocka_unit_test(usual_folder_is_found),
	};

	return cmocka_run_group_tests(tests, tls_files_set_up, tls_files_tear_down);
}
