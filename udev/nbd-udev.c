/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What udev's rules import. It answers from sysfs and our records at once, and never opens a
 * device, whose opening would make it busy, nor asks the driver. It is for rules, not for people.
 *
 *   nbd-udev links nbdN   names for the symlinks of an attached device
 *   nbd-udev hotplug      files the event's NBD_URI, or what became of the one before; the event's
 *                         properties are in the environment
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#include "claims.h"
#include "cleanup.h"
#include "device-internal.h"
#include "link-names.h"

#define HOTPLUG_FOLDER NBDT_RUN_DIR "/hotplug"

/* udev does not show what its programs say. ASKER: the path of the device whose event it is. */
static void complain(const char *asker, const char *text)
{
	syslog(LOG_ERR, "%s: %s", asker, text);
}

static bool is_of_this_attachment(const struct nbdt_record *record)
{
	struct nbdt_device_info info;

	/* By sysfs alone: nbdt_device_get() may ask the driver. */
	if (device_read_at(DEVICE_BLOCK_ROOT, record->index, &info))
		return false;
	return nbdt_record_check(record, &info) != NBDT_RECORD_STALE;
}

static void print_property(const char *key, const char *value)
{
	if (value)
		printf("%s=%s\n", key, value);
}

static int print_links(const char *device)
{
	struct nbdt_record record;
	int index = device_parse_name(device);

	if (index < 0)
		return EXIT_FAILURE;
	if (nbdt_record_read(index, &record, NULL))
		return EXIT_SUCCESS;
	if (is_of_this_attachment(&record)) {
		CLEANUP_FREE char *name = link_name_of_entry(&record);
		CLEANUP_FREE char *source = link_name_of_source(&record);

		print_property("NBD_TOOLS_NAME", name);
		print_property("NBD_TOOLS_SOURCE", source);
	}
	nbdt_record_free(&record);
	return EXIT_SUCCESS;
}

static int open_hotplug_folder(void)
{
	if ((mkdir(NBDT_RUN_DIR, 0755) && errno != EEXIST) ||
		(mkdir(HOTPLUG_FOLDER, 0755) && errno != EEXIST))
		return -errno;
	int fd = open(HOTPLUG_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void print_unit(const char *key, const struct claim *claim)
{
	char name[CLAIM_NAME_SIZE];

	claim_name(claim, name);
	printf("%s=nbd-connect@%s.service\n", key, name);
}

/* The database remembers the claim and its unit; names that begin with '.' end with the event. */
static void take_claim(int folder, const struct claim *claim, const char *uri, const char *asker)
{
	struct nbdt_error err;

	int result = claim_take(folder, claim, uri, asker, &err);
	if (result < 0) {
		complain(asker, err.text);
		return;
	}
	printf("NBD_TOOLS_CLAIM=%s.%s\n", claim->uri, claim->asker);
	print_unit("NBD_TOOLS_UNIT", claim);
	if (result)
		print_unit(".NBD_TOOLS_START", claim);
}

static void release_claim(int folder, const struct claim *claim, const char *asker)
{
	struct nbdt_error err;

	/* udev imports no empty value; the rules take this for no claim. */
	printf("NBD_TOOLS_CLAIM=none\n");
	int result = claim_release(folder, claim, &err);
	if (result < 0)
		complain(asker, err.text);
	else if (result)
		print_unit(".NBD_TOOLS_STOP", claim);
}

/*
 * The claim that this event makes of its URI. The asker of the claim before stays the same, though
 * its path may have changed (as that of a network interface does when it gets its name).
 */
static bool read_wanted(
	struct claim *wanted, const struct claim *before, const char *uri, const char *asker)
{
	struct nbdt_error err;

	if (!uri || !*uri)
		return false;
	if (claim_check_uri(uri, &err)) {
		complain(asker, err.text);
		return false;
	}
	claim_make(wanted, uri, asker);
	if (before)
		memcpy(wanted->asker, before->asker, sizeof(wanted->asker));
	return true;
}

static int handle_event(void)
{
	const char *action = getenv("ACTION"), *asker = getenv("DEVPATH");
	const char *uri = getenv("NBD_URI"), *text = getenv("NBD_TOOLS_CLAIM");
	struct claim before, wanted;

	if (!action || !asker)
		return EXIT_FAILURE;
	CLEANUP_CLOSE int folder = open_hotplug_folder();
	if (folder < 0) {
		complain(asker, "cannot make or open " HOTPLUG_FOLDER);
		return EXIT_FAILURE;
	}
	bool had = text && !claim_parse(text, &before);
	bool wants = strcmp(action, "remove") != 0 &&
		read_wanted(&wanted, had ? &before : NULL, uri, asker);
	if (had && (!wants || strcmp(before.uri, wanted.uri) != 0))
		release_claim(folder, &before, asker);
	if (wants)
		take_claim(folder, &wanted, uri, asker);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	openlog("nbd-udev", LOG_PID | LOG_PERROR, LOG_DAEMON);
	if (argc == 3 && !strcmp(argv[1], "links"))
		return print_links(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "hotplug"))
		return handle_event();
	fprintf(stderr, "Usage: nbd-udev links nbdN | nbd-udev hotplug\n");
	return 2;
}
