/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns the entries of /etc/nbdtab and /etc/nbd into units, at boot and at each daemon-reload
 * (systemd.generator(7)). An entry that is refused and would be attached is wanted all the same:
 * its unit fails, and says why.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "cleanup.h"
#include "unit-file.h"

#define CONNECT_TEMPLATE "nbd-connect@.service"
#define LOOP_TEMPLATE "nbd-loop@.service"
#define MODULE_TARGET "nbd-module.target"

struct generator {
	const char *etc;    /* "/etc", but for tests */
	const char *folder; /* where units go */
	int log;            /* the kernel's log, or -1: stderr */
};

static const char module_drop_in[] =
	"[Unit]\n"
	"# Stops when the module goes, so that its return starts it again.\n"
	"PartOf=" MODULE_TARGET "\n";

/* Argument: the entry's name. */
#define WAIT_DROP_IN \
	"[Service]\n" \
	"# The entry says itself how long to wait for its server.\n" \
	"ExecStart=\n" \
	"ExecStart=:" SBINDIR "/nbd-connect --foreground --idempotent --entry=%s\n" \
	"TimeoutStartSec=infinity\n"

/*
 * The unit of an entry with an image; its template is for paths, which become dependencies that a
 * drop-in could not take away. Arguments: its file, its name, more settings of [Unit].
 */
#define LOOP_UNIT \
	"# Written by nbd-tools-generator: nbd-tools-systemd(7)\n" \
	"[Unit]\n" \
	"SourcePath=%1$s\n" \
	"Description=NBD device of entry %2$s\n" \
	"Documentation=man:nbd-tools-systemd(7) man:nbd-loop(8)\n" \
	"DefaultDependencies=no\n" \
	"%3$s" \
	"Wants=modprobe@nbd.service\n" \
	"After=modprobe@nbd.service systemd-remount-fs.service\n" \
	"Wants=blockdev@dev-%%i.target blockdev@dev-nbd-by\\x2dname-%%i.target\n" \
	"Before=blockdev@dev-%%i.target blockdev@dev-nbd-by\\x2dname-%%i.target\n" \
	"Conflicts=shutdown.target\n" \
	"Before=shutdown.target\n" \
	"\n" \
	"[Service]\n" \
	"Type=notify\n" \
	"ExecStart=@:" SBINDIR "/nbd-loop @nbd-loop --foreground --entry=%2$s\n" \
	"ExecStopPost=-:" SBINDIR "/nbd-disconnect --quiet --idempotent --entry=%2$s\n" \
	"SendSIGKILL=no\n"

static void say(const struct generator *generator, int priority, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* One line. Not by dprintf(), which seeks, and gives up as /dev/kmsg refuses that. */
static void say(const struct generator *generator, int priority, const char *format, ...)
{
	char text[1024], line[sizeof(text) + 64];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	int length = snprintf(line, sizeof(line), "<%d>nbd-tools-generator: %s\n", priority, text);
	if (generator->log < 0 || write(generator->log, line, (size_t)length) != length)
		fprintf(stderr, "nbd-tools-generator: %s\n", text);
}

/* The setting that brings the filesystem of the image, or "" where that cannot be; for free(). */
static char *format_mounts(const struct generator *generator, const struct nbdt_entry *entry)
{
	char *text;

	if (!entry->sources || !entry->sources[0])
		return strdup("");
	CLEANUP_FREE char *path = unit_quote(entry->sources[0]);
	if (path)
		return asprintf(&text, "RequiresMountsFor=%s\n", path) < 0 ? NULL : text;
	say(generator, LOG_WARNING, "%s: its path has control characters, so the filesystem that"
		" the image is on is not waited for", entry->origin);
	return strdup("");
}

static int write_loop_unit(const struct generator *generator, const struct nbdt_entry *entry,
	const char *unit, struct nbdt_error *err)
{
	CLEANUP_FREE char *mounts = format_mounts(generator, entry);
	CLEANUP_FREE char *text = NULL;

	if (!mounts || asprintf(&text, LOOP_UNIT, entry->origin, entry->name, mounts) < 0) {
		text = NULL;
		return nbdt_error_errno(err, -ENOMEM, "%s", entry->name);
	}
	return unit_write(generator->folder, unit, text, err);
}

static bool has_own_wait(const struct nbdt_entry *entry)
{
	for (char **option = entry->options; option && *option; option++)
		if (!strncmp(*option, "--wait=", strlen("--wait=")))
			return true;
	return false;
}

/* What the command line says, as that of the template does, counts more than the entry. */
static int write_wait(const struct generator *generator, const struct nbdt_entry *entry,
	const char *unit, struct nbdt_error *err)
{
	CLEANUP_FREE char *text = NULL;

	if (asprintf(&text, WAIT_DROP_IN, entry->name) < 0) {
		text = NULL;
		return nbdt_error_errno(err, -ENOMEM, "%s", unit);
	}
	return unit_write_drop_in(generator->folder, unit, "wait.conf", text, err);
}

static int want_unit(const struct generator *generator, const struct nbdt_entry *entry,
	const char *unit, struct nbdt_error *err)
{
	bool loop = entry->kind == NBDT_KIND_LOOP;
	const char *target = loop ? "local-fs.target" : "remote-fs.target";
	CLEANUP_FREE char *file = NULL;

	if (entry->auto_attach == NBDT_AUTO_NO)
		return 0;
	int length = loop ? asprintf(&file, "../%s", unit)
			  : asprintf(&file, "%s", UNITDIR "/" CONNECT_TEMPLATE);
	if (length < 0) {
		file = NULL;
		return nbdt_error_errno(err, -ENOMEM, "%s", unit);
	}
	if (entry->auto_attach == NBDT_AUTO_BOOT)
		return unit_want(generator->folder, target, unit, file, err);
	int result = unit_want(generator->folder, MODULE_TARGET, unit, file, err);
	if (result)
		return result;
	return unit_write_drop_in(generator->folder, unit, "module.conf", module_drop_in, err);
}

/* Is it an entry that nbd-client attaches, at boot, by its own unit? */
static bool is_left_to_nbd_client(const struct generator *generator, const struct nbdt_entry *entry)
{
	CLEANUP_FREE char *pattern = NULL;
	glob_t found;

	if (nbdt_device_parse(entry->name, false) < 0)
		return false;
	if (asprintf(&pattern, "%s/systemd/system/*.{wants,requires}/nbd@%s.service",
		    generator->etc, entry->name) < 0) {
		pattern = NULL;
		return false;
	}
	bool enabled = !glob(pattern, GLOB_BRACE | GLOB_NOSORT, NULL, &found);
	if (enabled) {
		globfree(&found);
		say(generator, LOG_NOTICE, "%s: left to nbd-client, as nbd@%s.service is enabled",
			entry->origin, entry->name);
	}
	return enabled;
}

static int generate_unit(const struct generator *generator, const struct nbdt_entry *entry,
	struct nbdt_error *err)
{
	bool loop = entry->kind == NBDT_KIND_LOOP;
	char unit[UNIT_NAME_SIZE];

	if (is_left_to_nbd_client(generator, entry))
		return 0;
	int result = unit_name(loop ? LOOP_TEMPLATE : CONNECT_TEMPLATE, entry->name, unit, err);
	if (!result && loop)
		result = write_loop_unit(generator, entry, unit, err);
	else if (!result && has_own_wait(entry))
		result = write_wait(generator, entry, unit, err);
	return result ? result : want_unit(generator, entry, unit, err);
}

static bool has_name_of_earlier(const struct nbdt_entry *entries, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (entries[i].name && !strcmp(entries[i].name, entries[index].name))
			return true;
	return false;
}

static int generate_units(const struct generator *generator)
{
	struct nbdt_entry *entries;
	struct nbdt_error err;
	int status = EXIT_SUCCESS;
	size_t count;

	if (nbdt_entries_read(generator->etc, NULL, &entries, &count, &err)) {
		say(generator, LOG_ERR, "%s", err.text);
		return EXIT_FAILURE;
	}
	for (size_t i = 0; i < count; i++) {
		if (entries[i].error.code)
			say(generator, LOG_ERR, "%s", entries[i].error.text);
		if (!entries[i].name || has_name_of_earlier(entries, i))
			continue;
		if (generate_unit(generator, &entries[i], &err)) {
			say(generator, LOG_ERR, "%s", err.text);
			status = EXIT_FAILURE;
		}
	}
	nbdt_entries_free(entries, count);
	return status;
}

/* systemd starts generators before there is a journal, and says who it is. */
static int open_log(void)
{
	const char *scope = getenv("SYSTEMD_SCOPE");

	if (!scope || strcmp(scope, "system") != 0)
		return -1;
	return open("/dev/kmsg", O_WRONLY | O_NOCTTY | O_CLOEXEC);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "etc", required_argument, NULL, 'e' }, /* for tests */
		{ NULL, 0, NULL, 0 },
	};
	struct generator generator = { .etc = "/etc", .log = open_log() };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) == 'e')
		generator.etc = optarg;
	if (option != -1 || optind == argc) {
		fprintf(stderr, "Usage: nbd-tools-generator FOLDER [EARLY LATE]\n");
		return 2;
	}
	generator.folder = argv[optind];
	return generate_units(&generator);
}
