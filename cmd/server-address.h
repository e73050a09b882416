/* SPDX-License-Identifier: Apache-2.0 */
/* How people name a server on the command line. */
#ifndef NBDT_SERVER_ADDRESS_H
#define NBDT_SERVER_ADDRESS_H

#include "command.h"

/*
 * Reads a URI, or HOST, HOST:PORT, ADDRESS, [ADDRESS]:PORT, where PORT, unless NULL, was given
 * beside it, and the export's name too (NULL: the default export). *URI is for nbdt_uri_free().
 * Says what is wrong, and returns STATUS_USAGE.
 */
enum command_status read_server_address(
	const char *text, const char *port, const char *name, struct nbdt_uri **uri);

#endif
