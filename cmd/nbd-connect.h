/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-connect's options, as its parts share them. */
#ifndef NBDT_NBD_CONNECT_H
#define NBDT_NBD_CONNECT_H

#include "command.h"

#define MAX_CONNECTIONS 128
#define CONNECTIONS_AUTO 0

struct connect_options {
	struct nbdt_uri **uris;   /* of one export: alternatives, in order */
	size_t uri_count;         /* at least 1 */
	char *entry;              /* name of the entry that they come from, or NULL */
	int index;                /* or NBDT_INDEX_ANY */
	unsigned int connections; /* or CONNECTIONS_AUTO */
	uint32_t block_size;      /* bytes; 0: the server's minimum */
	bool read_only;
	uint64_t timeout;         /* seconds for a request */
	uint64_t dead_timeout;    /* seconds that I/O waits for a new connection */
	const char *identifier;   /* stands for the source, or NULL */
	bool no_optgo;            /* for servers whose NBD_OPT_GO does not work */
	bool swap;                /* it will be swapped on */
	bool ioctl;
	bool idempotent;          /* attached already is fine */
	bool foreground;          /* and tell systemd */
	bool dry_run;
	uint64_t wait;            /* seconds to keep trying while nobody answers */
	unsigned int handshake_timeout; /* milliseconds */
};

enum connect_mode {
	CONNECT_ATTACH,
	CONNECT_DETACH,
	CONNECT_CHECK,
};

struct connect_arguments {
	enum connect_mode mode;
	struct connect_options connect;
	const char *name;      /* -N, or NULL */
	const char *socket;    /* -u, or NULL */
	const char *entry;     /* --entry, or NULL */
	bool only_for_exports; /* an option was given that an image file cannot have */
	char **operands;
	int operand_count;
};

/* connect-options.c: reads a command line, over ARGUMENTS as they are. --help and such end here. */
void connect_set_defaults(struct connect_arguments *arguments);
enum command_status connect_read_arguments(
	int argc, char **argv, struct connect_arguments *arguments);

/*
 * connect-entry.c: where the command line ARGV means an entry, makes ARGUMENTS what the entry and
 * ARGV say together; they live as long as ENTRY. An entry with an image file ends here, with
 * nbd-loop in our place.
 */
enum command_status connect_expand_entry(struct connect_arguments *arguments, int argc,
	char **argv, struct nbdt_entry *entry);

/*
 * connect-attach.c: negotiates, attaches, waits, and prints the device; or with dry_run only tells
 * what it found.
 */
enum command_status connect_attach(const struct connect_options *options);

#endif
