/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "claims.h"
#include "fake-sysfs.h"

#define URI "nbd://server/export"
#define OTHER_URI "nbd://server/other"

struct fixture {
	char *root;
	int folder;
};

static int setup(void **state)
{
	struct fixture *fixture = malloc(sizeof(*fixture));

	fixture->root = fake_root();
	fixture->folder = open(fixture->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = fixture;
	return fixture->folder < 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	close(fixture->folder);
	fake_remove(fixture->root);
	free(fixture);
	return 0;
}

static int take(int folder, const char *uri, const char *asker)
{
	struct claim claim;

	claim_make(&claim, uri, asker);
	return claim_take(folder, &claim, uri, asker, NULL);
}

static int release(int folder, const char *uri, const char *asker)
{
	struct claim claim;

	claim_make(&claim, uri, asker);
	return claim_release(folder, &claim, NULL);
}

/* The path of the entry of URI, or with a suffix other than ".conf". */
static const char *file_of(const char *uri, const char *suffix)
{
	static char path[CLAIM_NAME_SIZE + 64];
	char name[CLAIM_NAME_SIZE];
	struct claim claim;

	claim_make(&claim, uri, "");
	claim_name(&claim, name);
	snprintf(path, sizeof(path), "%s%s", name, suffix);
	return path;
}

static bool exists(int folder, const char *path)
{
	return !faccessat(folder, path, F_OK, AT_SYMLINK_NOFOLLOW);
}

static void first_claim_files_an_entry(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_entry entry;
	char name[CLAIM_NAME_SIZE], *folder;
	struct claim claim;

	/* The entries of RUN are in its folder "hotplug". */
	fake_folder(fixture->root, "hotplug");
	assert_true(asprintf(&folder, "%s/hotplug", fixture->root) > 0);
	int hotplug = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(take(hotplug, URI, "/devices/a"), 1);
	claim_make(&claim, URI, "/devices/a");
	claim_name(&claim, name);
	assert_int_equal(nbdt_entry_find(NULL, fixture->root, name, &entry, NULL), 0);
	assert_string_equal(entry.sources[0], URI);
	assert_null(entry.sources[1]);
	nbdt_entry_clear(&entry);
	close(hotplug);
	free(folder);
}

static void entry_is_for_root_alone(void **state)
{
	struct fixture *fixture = *state;
	struct stat status;

	assert_int_equal(take(fixture->folder, URI, "/devices/a"), 1);
	assert_int_equal(fstatat(fixture->folder, file_of(URI, ".conf"), &status, 0), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
}

static void same_claim_again_is_not_new(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(take(fixture->folder, URI, "/devices/a"), 1);
	assert_int_equal(take(fixture->folder, URI, "/devices/a"), 0);
	assert_int_equal(release(fixture->folder, URI, "/devices/a"), 1);
}

static void only_the_last_asker_ends_it(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(take(fixture->folder, URI, "/devices/a"), 1);
	assert_int_equal(take(fixture->folder, URI, "/devices/b"), 1);
	assert_int_equal(release(fixture->folder, URI, "/devices/a"), 0);
	assert_true(exists(fixture->folder, file_of(URI, ".conf")));
	assert_int_equal(release(fixture->folder, URI, "/devices/a"), 0);
	assert_int_equal(release(fixture->folder, URI, "/devices/b"), 1);
	assert_false(exists(fixture->folder, file_of(URI, ".conf")));
	assert_false(exists(fixture->folder, file_of(URI, ".by")));
}

static void claims_of_other_uris_are_apart(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(take(fixture->folder, URI, "/devices/a"), 1);
	assert_int_equal(take(fixture->folder, OTHER_URI, "/devices/a"), 1);
	assert_int_equal(release(fixture->folder, URI, "/devices/a"), 1);
	assert_true(exists(fixture->folder, file_of(OTHER_URI, ".conf")));
	assert_int_equal(release(fixture->folder, OTHER_URI, "/devices/a"), 1);
}

static void release_of_nothing_is_nothing(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(release(fixture->folder, URI, "/devices/a"), 0);
}

static void another_uri_of_the_same_hash_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct nbdt_error err;
	struct claim claim;
	static const char *const texts[] = { "uri = nbd://evil/\n", "", "uri = " URI,
		"uri = " URI "\nuri = nbd://evil/\n" };

	claim_make(&claim, URI, "/devices/a");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		fake_file(fixture->root, file_of(URI, ".conf"), texts[i]);
		assert_int_equal(claim_take(fixture->folder, &claim, URI, "/devices/a", &err),
			-EEXIST);
		assert_non_null(strstr(err.text, "same hash"));
		assert_false(exists(fixture->folder, file_of(URI, ".by")));
	}
}

static void links_are_not_followed(void **state)
{
	struct fixture *fixture = *state;

	fake_file(fixture->root, "victim", "");
	fake_link(fixture->root, ".new", "victim");
	assert_int_equal(take(fixture->folder, URI, "/devices/a"), 1);
	char *victim = fake_read(fixture->root, "victim");
	assert_string_equal(victim, "");
	free(victim);
	fake_link(fixture->root, file_of(OTHER_URI, ".conf"), "victim");
	assert_int_equal(take(fixture->folder, OTHER_URI, "/devices/a"), -ELOOP);
}

static void text_of_a_claim_leads_back_to_it(void **state)
{
	char text[CLAIM_TEXT_SIZE + 8];
	struct claim claim, read;

	(void)state;
	claim_make(&claim, URI, "/devices/a");
	snprintf(text, sizeof(text), "%s.%s", claim.uri, claim.asker);
	assert_int_equal(claim_parse(text, &read), 0);
	assert_string_equal(read.uri, claim.uri);
	assert_string_equal(read.asker, claim.asker);
}

static void texts_that_are_no_claims_are_refused(void **state)
{
	static const char *const texts[] = { "", "none", ".", "0123456789abcdef",
		"0123456789abcdef.", "0123456789abcdef.0123456789abcde",
		"0123456789abcdef.0123456789abcdef0", "0123456789abcdef-0123456789abcdef",
		"0123456789abcdeF.0123456789abcdef", "../456789abcdef0.0123456789abcdef",
		"0123456789abcdef.../../6789abcdef" };
	struct claim claim;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(claim_parse(texts[i], &claim), -EINVAL);
}

static void uris_that_are_more_than_a_line_are_refused(void **state)
{
	static const char *const texts[] = { "", "nbd", "http://server/", "nbd://server/a b",
		"nbd://server/\nfile = /etc/shadow", "nbd://server/\r", "nbd://server/\tx",
		"nbd://server/ ", " nbd://server/", "nbd://server/\303\251", "nbd://server/%zz",
		"nbd://server/#x", "/etc/passwd", "../../etc/passwd" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct nbdt_error err = { 0 };

		assert_int_equal(claim_check_uri(texts[i], &err), -EINVAL);
		assert_true(strlen(err.text) > 0);
		assert_null(strchr(err.text, '\n'));
	}
	assert_int_equal(claim_check_uri(URI, NULL), 0);
	assert_int_equal(claim_check_uri("nbd://server/%0A%20%22%27%25..%2f", NULL), 0);
}

static void export_names_have_a_limit(void **state)
{
	char uri[sizeof("nbd://server/") + NBDT_MAX_STRING + 1] = "nbd://server/";
	size_t prefix = strlen(uri);

	(void)state;
	memset(uri + prefix, 'a', NBDT_MAX_STRING);
	uri[prefix + NBDT_MAX_STRING] = '\0';
	assert_int_equal(claim_check_uri(uri, NULL), 0);
	uri[prefix + NBDT_MAX_STRING] = 'a';
	uri[prefix + NBDT_MAX_STRING + 1] = '\0';
	assert_int_equal(claim_check_uri(uri, NULL), -EINVAL);
}

#define ASKERS 8
#define ROUNDS 50

/* Takes and releases; its status says how often it was the last one. */
static void ask_again_and_again(int folder, int number)
{
	char asker[32];
	int last = 0;

	snprintf(asker, sizeof(asker), "/devices/%d", number);
	for (int i = 0; i < ROUNDS; i++) {
		if (take(folder, URI, asker) != 1)
			_exit(255);
		int result = release(folder, URI, asker);
		if (result < 0)
			_exit(255);
		last += result;
	}
	_exit(last);
}

static void askers_at_the_same_time_do_not_meet(void **state)
{
	struct fixture *fixture = *state;
	int ended = 0;

	for (int i = 0; i < ASKERS; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid)
			ask_again_and_again(fixture->folder, i);
	}
	for (int i = 0; i < ASKERS; i++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status));
		assert_int_not_equal(WEXITSTATUS(status), 255);
		ended += WEXITSTATUS(status);
	}
	/* Somebody was the last of all. */
	assert_true(ended >= 1);
	assert_false(exists(fixture->folder, file_of(URI, ".conf")));
	assert_false(exists(fixture->folder, file_of(URI, ".by")));
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(first_claim_files_an_entry),
		WITH_FOLDER(entry_is_for_root_alone),
		WITH_FOLDER(same_claim_again_is_not_new),
		WITH_FOLDER(only_the_last_asker_ends_it),
		WITH_FOLDER(claims_of_other_uris_are_apart),
		WITH_FOLDER(release_of_nothing_is_nothing),
		WITH_FOLDER(another_uri_of_the_same_hash_is_refused),
		WITH_FOLDER(links_are_not_followed),
		cmocka_unit_test(text_of_a_claim_leads_back_to_it),
		cmocka_unit_test(texts_that_are_no_claims_are_refused),
		cmocka_unit_test(uris_that_are_more_than_a_line_are_refused),
		cmocka_unit_test(export_names_have_a_limit),
		WITH_FOLDER(askers_at_the_same_time_do_not_meet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
