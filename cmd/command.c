/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

enum verbosity verbosity = NORMAL;
static bool to_syslog;
static const char *subject; /* of all that is said, or NULL */

void open_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		/* The lowest number that is free. What should go to stdout must still fail. */
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR);
}

enum command_status status_of(int code)
{
	switch (-code) {
	case 0:
		return STATUS_DONE;
	case ENXIO: /* no such export */
	case ENODEV:
	case ENOTCONN:
		return STATUS_NOT_FOUND;
	case EBUSY:
	case EADDRINUSE:
		return STATUS_BUSY;
	case EALREADY:
		return STATUS_ALREADY;
	case EREMOTEIO: /* an error reply in the handshake */
	case ECONNREFUSED:
		return STATUS_REFUSED;
	case ETIMEDOUT:
		return STATUS_TIMED_OUT;
	case EPERM:
	case EACCES:
		return STATUS_NOT_PERMITTED;
	default:
		return STATUS_FAILED;
	}
}

/*
 * Is standard error the journal itself? systemd says which file it gave us (systemd.exec(5),
 * "$JOURNAL_STREAM"); a redirection since then makes it another one. Any thread may ask.
 */
static bool is_journal(void)
{
	static atomic_int known = -1;
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat file;
	char text[64];
	int result = known;

	if (result >= 0)
		return result;
	result = 0;
	if (stream && !fstat(STDERR_FILENO, &file)) {
		snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)file.st_dev,
			(uintmax_t)file.st_ino);
		result = !strcmp(stream, text);
	}
	known = result;
	return result;
}

/* What was given on a command line or in a file shall not make lines of its own. */
static void keep_to_one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == '\177')
			*text = '?';
}

/* The journal takes a line's priority from its beginning (sd-daemon(3)) and knows who says it. */
__attribute__((format(printf, 2, 0))) static void say(
	int priority, const char *format, va_list arguments)
{
	const char *about = subject ? subject : "", *colon = subject ? ": " : "";
	char text[1024];

	vsnprintf(text, sizeof(text), format, arguments);
	keep_to_one_line(text);
	if (to_syslog)
		syslog(priority, "%s%s%s", about, colon, text);
	else if (is_journal())
		fprintf(stderr, "<%d>%s%s%s\n", priority, about, colon, text);
	else
		fprintf(stderr, "%s: %s%s%s\n", program_invocation_short_name, about, colon,
			text);
}

void say_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(LOG_ERR, format, arguments);
	va_end(arguments);
}

void say_warning(const char *format, ...)
{
	va_list arguments;

	if (verbosity == QUIET)
		return;
	va_start(arguments, format);
	say(LOG_WARNING, format, arguments);
	va_end(arguments);
}

void say_notice(const char *format, ...)
{
	va_list arguments;

	/* A log has levels of its own, and readers who filter by them. */
	if (verbosity != VERBOSE && !to_syslog && !is_journal())
		return;
	va_start(arguments, format);
	say(LOG_NOTICE, format, arguments);
	va_end(arguments);
}

void say_about(const char *what)
{
	subject = what;
}

void say_to_syslog(void)
{
	openlog(program_invocation_short_name, LOG_PID, LOG_DAEMON);
	to_syslog = true;
}

enum command_status report(const char *object, const struct nbdt_error *err)
{
	if (object)
		say_error("%s: %s", object, err->text);
	else
		say_error("%s", err->text);
	return status_of(err->code);
}

void point_to_help(void)
{
	if (!is_journal())
		fprintf(stderr, "Try '%s --help'.\n", program_invocation_short_name);
}

enum command_status usage_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(LOG_ERR, format, arguments);
	va_end(arguments);
	if (!subject)
		point_to_help();
	return STATUS_USAGE;
}

void print_help(const char *text)
{
	fputs(text, stdout);
}

void print_version(void)
{
	printf("%s (nbd-tools) " NBDT_VERSION "\n", program_invocation_short_name);
}

void print_long_options(const struct option *options)
{
	for (; options->name; options++)
		printf("--%s\n", options->name);
}

enum command_status finish_stdout(enum command_status status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	say_error("cannot write to standard output: %s", strerrordesc_np(errno));
	/* Once is enough. */
	__fpurge(stdout);
	clearerr(stdout);
	return status ? status : STATUS_FAILED;
}

int parse_number(const char *text, uint64_t maximum, uint64_t *number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno || *end || value > maximum)
		return -EINVAL;
	*number = value;
	return 0;
}

void device_path(int index, char path[DEVICE_PATH_SIZE])
{
	snprintf(path, DEVICE_PATH_SIZE, "/dev/nbd%d", index);
}

enum command_status worse_status(enum command_status one, enum command_status other)
{
	return one > other ? one : other;
}
