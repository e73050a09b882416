/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all commands share: exit statuses, and words to people on stderr or, in the background,
 * syslog.
 */
#ifndef NBDT_COMMAND_H
#define NBDT_COMMAND_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "nbdtools.h"

enum command_status {
	STATUS_DONE = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_NOT_FOUND = 3,     /* no such device or export, or not connected */
	STATUS_BUSY = 4,
	STATUS_ALREADY = 5,       /* already connected */
	STATUS_REFUSED = 6,       /* by the server */
	STATUS_TIMED_OUT = 7,
	STATUS_NOT_PERMITTED = 8,
	/* Our own, where a command that we started says the status. */
	STATUS_CAPTIVE_FAILED = 125,
};

/*
 * First of all in main(): a caller may have closed a standard descriptor, and an image or a socket
 * that got its number would receive what is meant for people. To print on a stdout that was closed
 * is still an error.
 */
void open_standard_descriptors(void);

/* The exit status for a negative errno of the library. */
enum command_status status_of(int code);

enum verbosity {
	QUIET,
	NORMAL,
	VERBOSE,
};
extern enum verbosity verbosity; /* set once, by a command's options */

/*
 * Each prints one line, "nbd-loop: …", or where the journal listens, "<3>…". Warnings are kept back
 * by -q, notices come with -v, and in logs.
 */
void say_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * From now on each line begins with WHAT, such as the file and line that its options come from; it
 * must stay. NULL: no longer.
 */
void say_about(const char *what);

/* From now on all that is said goes to syslog. */
void say_to_syslog(void);

/* Says a library error about OBJECT (NULL: the sentence names it itself) and returns its status. */
enum command_status report(const char *object, const struct nbdt_error *err);

/* Says what is wrong with the command line, and where help is. Returns STATUS_USAGE. */
enum command_status usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The second half of that, after words of getopt's. */
void point_to_help(void);

/* Prints the help text, the version, or for the completion the long options of a table. */
void print_help(const char *text);
void print_version(void);
void print_long_options(const struct option *options);

/* Writes all that was printed on stdout; a full disk or a closed pipe is an error. */
enum command_status finish_stdout(enum command_status status);

/* A decimal number up to MAXIMUM, and nothing else. -EINVAL otherwise. */
int parse_number(const char *text, uint64_t maximum, uint64_t *number);

/* "/dev/nbdN", in a buffer of 32 bytes. */
#define DEVICE_PATH_SIZE 32
void device_path(int index, char path[DEVICE_PATH_SIZE]);

/* The worse of two statuses of several operands: the higher number. */
enum command_status worse_status(enum command_status one, enum command_status other);

#endif
