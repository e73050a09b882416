/* SPDX-License-Identifier: Apache-2.0 */
/* What the symlinks of an attached device are called. */
#ifndef NBDT_LINK_NAMES_H
#define NBDT_LINK_NAMES_H

#include "nbdtools.h"

/* Bytes of an encoded name: with "-partN" it must fit into a file name of 255. */
#define LINK_NAME_MAXIMUM 200u

/*
 * TEXT as udev encodes names: all but [A-Za-z0-9#+.:=@_-] as \xNN; for free(). NULL: it would be
 * longer than LINK_NAME_MAXIMUM, or there is no memory.
 */
char *link_name_encode(const char *text);

/*
 * A record's source as a name, encoded: "HOST:PORT-EXPORT", "unix:PATH-EXPORT", "vsock:CID:PORT-…",
 * "file:PATH", "file:PATH@OFFSET"; for free(). NULL: it has none, as when its URI is not known, or
 * as above.
 */
char *link_name_of_source(const struct nbdt_record *record);

/* The entry's name, encoded, for free(). NULL: it has none for people, or as above. */
char *link_name_of_entry(const struct nbdt_record *record);

#endif
