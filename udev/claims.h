/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has asked for which URI: in a folder, for each URI an entry "uri:HASH.conf" and a folder
 * "uri:HASH.by" with a file for each asker. Nothing in their names is what others may choose.
 */
#ifndef NBDT_CLAIMS_H
#define NBDT_CLAIMS_H

#include "nbdtools.h"

#define CLAIM_PREFIX "uri:"
#define CLAIM_HASH_SIZE 17 /* bytes: 64 bits as hexadecimal digits, and a NUL */

/* As text, "HASH.ASKER", it is kept in udev's database. */
struct claim {
	char uri[CLAIM_HASH_SIZE];   /* hash of the URI */
	char asker[CLAIM_HASH_SIZE]; /* hash of the path that the asking device had then */
};
#define CLAIM_TEXT_SIZE (2 * CLAIM_HASH_SIZE)

void claim_make(struct claim *claim, const char *uri, const char *asker);
/* Reads what "%s.%s" made of a claim. -EINVAL. */
int claim_parse(const char *text, struct claim *claim);

/* The name of its entry, which is the instance of its unit: "uri:HASH". */
#define CLAIM_NAME_SIZE (sizeof(CLAIM_PREFIX) + CLAIM_HASH_SIZE)
void claim_name(const struct claim *claim, char name[CLAIM_NAME_SIZE]);

/* Is it a URI of NBD, of printable ASCII throughout? -EINVAL; -ENOMEM. */
int claim_check_uri(const char *uri, struct nbdt_error *err);

/*
 * Files a claim for URI by ASKER in FOLDER, a descriptor. Returns 1 if it is new, 0 if it was there
 * already. Errors: -EEXIST another URI has the same hash; those of files.
 */
int claim_take(int folder, const struct claim *claim, const char *uri, const char *asker,
	struct nbdt_error *err);

/* Gives a claim up. Returns 1 if it was the last one for its URI, whose entry is gone now; or 0. */
int claim_release(int folder, const struct claim *claim, struct nbdt_error *err);

#endif
