/* SPDX-License-Identifier: Apache-2.0 */
/* URIs (doc/uri.md): reading, refusing, writing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "nbdtools.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct good {
	const char *text;
	enum nbdt_transport_kind transport;
	bool tls;
	const char *host, *port, *socket, *export_name;
	const char *formatted;
};

static const struct good goods[] = {
	{ "nbd://example.com/disk", NBDT_TRANSPORT_TCP, false, "example.com", "10809", NULL, "disk",
		"nbd://example.com/disk" },
	{ "nbd://example.com", NBDT_TRANSPORT_TCP, false, "example.com", "10809", NULL, "",
		"nbd://example.com/" },
	{ "nbd://example.com/", NBDT_TRANSPORT_TCP, false, "example.com", "10809", NULL, "",
		"nbd://example.com/" },
	{ "nbd://example.com//disk", NBDT_TRANSPORT_TCP, false, "example.com", "10809", NULL,
		"/disk", "nbd://example.com//disk" },
	{ "nbd://example.com/a/b/", NBDT_TRANSPORT_TCP, false, "example.com", "10809", NULL, "a/b/",
		"nbd://example.com/a/b/" },
	{ "nbd://example.com/../.", NBDT_TRANSPORT_TCP, false, "example.com", "10809", NULL, "../.",
		"nbd://example.com/../." },
	{ "nbd://example.com/hello%20world", NBDT_TRANSPORT_TCP, false, "example.com", "10809",
		NULL, "hello world", "nbd://example.com/hello%20world" },
	{ "nbd://h/%c3%A9%2fx%3f%23%25", NBDT_TRANSPORT_TCP, false, "h", "10809", NULL,
		"\xc3\xa9/x?#%", "nbd://h/%C3%A9/x%3F%23%25" },
	{ "nbd://h/a+b&c=d;e,f:g@h", NBDT_TRANSPORT_TCP, false, "h", "10809", NULL,
		"a+b&c=d;e,f:g@h", "nbd://h/a+b%26c=d%3Be,f:g@h" },
	{ "NBD://h:1/x", NBDT_TRANSPORT_TCP, false, "h", "1", NULL, "x", "nbd://h:1/x" },
	{ "nbd://h:65535", NBDT_TRANSPORT_TCP, false, "h", "65535", NULL, "", "nbd://h:65535/" },
	{ "nbd://h:010809/", NBDT_TRANSPORT_TCP, false, "h", "10809", NULL, "", "nbd://h/" },
	{ "nbd://h:/x", NBDT_TRANSPORT_TCP, false, "h", "10809", NULL, "x", "nbd://h/x" },
	{ "nbd://127.0.0.1:10810/x", NBDT_TRANSPORT_TCP, false, "127.0.0.1", "10810", NULL, "x",
		"nbd://127.0.0.1:10810/x" },
	{ "nbd://[::1]/x", NBDT_TRANSPORT_TCP, false, "::1", "10809", NULL, "x", "nbd://[::1]/x" },
	{ "nbd://[2001:db8::7]:99/x", NBDT_TRANSPORT_TCP, false, "2001:db8::7", "99", NULL, "x",
		"nbd://[2001:db8::7]:99/x" },
	/* A name with a colon is no address; RFC 3986 has no zones within brackets. */
	{ "nbd://a%3Ab/", NBDT_TRANSPORT_TCP, false, "a:b", "10809", NULL, "", "nbd://a%3Ab/" },
	{ "nbd://fe80%3A%3A1%25eth0/", NBDT_TRANSPORT_TCP, false, "fe80::1%eth0", "10809", NULL, "",
		"nbd://fe80%3A%3A1%25eth0/" },
	{ "nbds://h/x", NBDT_TRANSPORT_TCP, true, "h", "10809", NULL, "x", "nbds://h/x" },
	{ "nbd+unix:///disk?socket=/run/a.sock", NBDT_TRANSPORT_UNIX, false, NULL, NULL,
		"/run/a.sock", "disk", "nbd+unix:///disk?socket=/run/a.sock" },
	{ "nbd+unix://?socket=rel.sock", NBDT_TRANSPORT_UNIX, false, NULL, NULL, "rel.sock", "",
		"nbd+unix:///?socket=rel.sock" },
	{ "nbd+unix:///?socket=/a%20b%26c=d+e", NBDT_TRANSPORT_UNIX, false, NULL, NULL,
		"/a b&c=d+e", "", "nbd+unix:///?socket=/a%20b%26c%3Dd+e" },
	{ "nbds+unix:///x?socket=s", NBDT_TRANSPORT_UNIX, true, NULL, NULL, "s", "x",
		"nbds+unix:///x?socket=s" },
	{ "nbd+vsock://2/x", NBDT_TRANSPORT_VSOCK, false, "2", "10809", NULL, "x",
		"nbd+vsock://2/x" },
	{ "nbds+vsock://4294967295:4294967294/", NBDT_TRANSPORT_VSOCK, true, "4294967295",
		"4294967294", NULL, "", "nbds+vsock://4294967295:4294967294/" },
};

static void check_string(const char *text, const char *got, const char *expected)
{
	if (!got != !expected || (got && strcmp(got, expected) != 0))
		fail_msg("%s: '%s' instead of '%s'", text, got ? got : "NULL",
			expected ? expected : "NULL");
}

static void good_uris_are_read_and_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(goods); i++) {
		const struct good *good = &goods[i];
		struct nbdt_error err = { 0 };
		struct nbdt_uri *uri = NULL;

		if (nbdt_uri_parse(good->text, &uri, &err))
			fail_msg("%s: %s", good->text, err.text);
		assert_int_equal(uri->transport, good->transport);
		assert_int_equal(uri->tls, good->tls);
		assert_true(uri->tls_verify_peer);
		check_string(good->text, uri->host, good->host);
		check_string(good->text, uri->port, good->port);
		check_string(good->text, uri->socket, good->socket);
		check_string(good->text, uri->export_name, good->export_name);
		char *formatted = nbdt_uri_format(uri);
		check_string(good->text, formatted, good->formatted);
		free(formatted);
		nbdt_uri_free(uri);
	}
}

static void written_uri_reads_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(goods); i++) {
		struct nbdt_uri *uri = NULL;

		assert_int_equal(nbdt_uri_parse(goods[i].formatted, &uri, NULL), 0);
		check_string(goods[i].text, uri->host, goods[i].host);
		check_string(goods[i].text, uri->port, goods[i].port);
		check_string(goods[i].text, uri->socket, goods[i].socket);
		check_string(goods[i].text, uri->export_name, goods[i].export_name);
		nbdt_uri_free(uri);
	}
}

static void tls_parameters_and_user_are_read_but_not_written(void **state)
{
	struct nbdt_uri *uri = NULL;

	(void)state;
	assert_int_equal(nbdt_uri_parse("nbds://al%40ice@h/x?tls-certificates=/etc/pki%2fx&"
					"tls-psk-file=/k&tls-hostname=other&tls-type=psk&"
					"tls-verify-peer=0",
				 &uri, NULL),
		0);
	assert_string_equal(uri->user, "al@ice");
	assert_string_equal(uri->tls_certificates, "/etc/pki/x");
	assert_string_equal(uri->tls_psk_file, "/k");
	assert_string_equal(uri->tls_hostname, "other");
	assert_string_equal(uri->tls_type, "psk");
	assert_false(uri->tls_verify_peer);
	char *formatted = nbdt_uri_format(uri);
	assert_string_equal(formatted, "nbds://h/x");
	free(formatted);
	nbdt_uri_free(uri);
}

/* WORD: what the message must name. */
static const struct {
	const char *text, *word;
} bads[] = {
	{ "", "scheme" },
	{ "disk.img", "scheme" },
	{ "http://h/x", "http" },
	{ "nbdx://h/x", "nbdx" },
	{ "nbd+ssh://h/x", "nbd+ssh" },
	{ "nbd:x", "//" },
	{ "nbd:/x", "//" },
	{ "nbd+unix:/x?socket=s", "//" },
	{ "nbd://", "host" },
	{ "nbd:///x", "host" },
	{ "nbd://:10809/x", "host" },
	{ "nbd://h:0/", "port" },
	{ "nbd://h:65536/", "65536" },
	{ "nbd://h:99999999999999999999999/", "port" },
	{ "nbd://h:x/", "x" },
	{ "nbd://h:-1/", "-1" },
	{ "nbd://::1/x", "" },
	{ "nbd://[::1/x", "" },
	{ "nbd://[::g]/x", "" },
	{ "nbd://h/%", "%" },
	{ "nbd://h/%4", "%4" },
	{ "nbd://h/%zz", "%zz" },
	{ "nbd://h/%4g", "%4g" },
	{ "nbd://h/a%00b", "%00" },
	{ "nbd+unix:///?socket=%00abstract", "%00" },
	{ "nbd+unix:///?socket=a%2", "%2" },
	{ "nbd://h/a b", "" },
	{ "nbd://h/\xc3\xa9", "" },
	{ "nbd://h/%ff", "UTF-8" },
	{ "nbd://h/x#y", "#" },
	{ "nbd://h/x?unknown=1", "unknown" },
	{ "nbd://h/x?x-new=1", "x-new" },
	{ "nbd://h/x?Socket=1", "Socket" },
	{ "nbd://h/x?tls-", "tls-" },
	{ "nbd://h/x?=1", "parameter" },
	{ "nbd://h/x?socket=/a", "socket" },
	{ "nbd+unix:///x", "socket" },
	{ "nbd+unix:///x?", "socket" },
	{ "nbd+unix:///x?socket", "socket" },
	{ "nbd+unix:///x?socket=", "socket" },
	{ "nbd+unix:///x?socket=a&socket=b", "twice" },
	{ "nbd+unix:///x?socket=a&socket=a", "twice" },
	{ "nbds://h/x?tls-type=psk&tls-type=anon", "twice" },
	{ "nbd+unix://h/x?socket=a", "host" },
	{ "nbd+unix://:9/x?socket=a", "host" },
	{ "nbds://h/x?tls-type=none", "none" },
	{ "nbds://h/x?tls-verify-peer=yes", "yes" },
	{ "nbds://h/x?tls-verify-peer=00", "00" },
	{ "nbd+vsock://host/x", "CID" },
	{ "nbd+vsock://4294967296/x", "CID" },
	{ "nbd+vsock://2:0/x", "port" },
	{ "nbd+vsock://2:4294967295/x", "port" },
};

static void bad_uris_are_refused_and_the_cause_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bads); i++) {
		struct nbdt_error err = { 0 };
		struct nbdt_uri *uri = NULL;

		if (nbdt_uri_parse(bads[i].text, &uri, &err) != -EINVAL)
			fail_msg("'%s' is not refused", bads[i].text);
		assert_null(uri);
		assert_int_equal(err.code, -EINVAL);
		if (!strstr(err.text, bads[i].word))
			fail_msg("'%s': '%s' does not name '%s'", bads[i].text, err.text,
				bads[i].word);
	}
}

static void errors_may_be_ignored(void **state)
{
	struct nbdt_uri *uri = NULL;

	(void)state;
	assert_int_equal(nbdt_uri_parse("nbd://h/?what", &uri, NULL), -EINVAL);
}

static void export_name_of_4096_bytes_is_the_longest(void **state)
{
	char text[8 + 4096 + 2] = "nbd://h/";
	struct nbdt_uri *uri = NULL;

	(void)state;
	memset(text + 8, 'x', 4097);
	assert_int_equal(nbdt_uri_parse(text, &uri, NULL), -EINVAL);
	text[8 + 4096] = '\0';
	assert_int_equal(nbdt_uri_parse(text, &uri, NULL), 0);
	assert_int_equal(strlen(uri->export_name), 4096);
	nbdt_uri_free(uri);
}

static void parts_give_the_same_as_a_uri(void **state)
{
	struct nbdt_uri *uri = NULL;

	(void)state;
	assert_int_equal(nbdt_uri_tcp("fe80::1", "1234", "a b", &uri, NULL), 0);
	char *formatted = nbdt_uri_format(uri);
	assert_string_equal(formatted, "nbd://[fe80::1]:1234/a%20b");
	free(formatted);
	nbdt_uri_free(uri);
	assert_int_equal(nbdt_uri_tcp("h", NULL, "", &uri, NULL), 0);
	assert_string_equal(uri->port, NBDT_DEFAULT_PORT);
	nbdt_uri_free(uri);
	assert_int_equal(nbdt_uri_unix("/a?b", "x", &uri, NULL), 0);
	formatted = nbdt_uri_format(uri);
	assert_string_equal(formatted, "nbd+unix:///x?socket=/a%3Fb");
	free(formatted);
	nbdt_uri_free(uri);
}

static void parts_that_do_not_fit_are_refused(void **state)
{
	struct nbdt_uri *uri = NULL;
	char name[4098];

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(nbdt_uri_tcp("", NULL, "", &uri, NULL), -EINVAL);
	assert_int_equal(nbdt_uri_tcp("h", "", "", &uri, NULL), -EINVAL);
	assert_int_equal(nbdt_uri_tcp("h", "http", "", &uri, NULL), -EINVAL);
	assert_int_equal(nbdt_uri_tcp("h", "1 ", "", &uri, NULL), -EINVAL);
	assert_int_equal(nbdt_uri_tcp("h", NULL, name, &uri, NULL), -EINVAL);
	assert_int_equal(nbdt_uri_unix("", "", &uri, NULL), -EINVAL);
	assert_int_equal(nbdt_uri_unix("s", name, &uri, NULL), -EINVAL);
	assert_null(uri);
}

static void freeing_nothing_is_fine(void **state)
{
	(void)state;
	nbdt_uri_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_uris_are_read_and_written),
		cmocka_unit_test(written_uri_reads_the_same),
		cmocka_unit_test(tls_parameters_and_user_are_read_but_not_written),
		cmocka_unit_test(bad_uris_are_refused_and_the_cause_is_named),
		cmocka_unit_test(errors_may_be_ignored),
		cmocka_unit_test(export_name_of_4096_bytes_is_the_longest),
		cmocka_unit_test(parts_give_the_same_as_a_uri),
		cmocka_unit_test(parts_that_do_not_fit_are_refused),
		cmocka_unit_test(freeing_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
