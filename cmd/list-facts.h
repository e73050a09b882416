/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said of an export in one word. */
#ifndef NBDT_LIST_FACTS_H
#define NBDT_LIST_FACTS_H

#include "list-ask.h"

struct export_flag {
	const char *key;  /* nbdinfo's, in JSON and text */
	const char *name; /* as --can and --is have it */
	uint16_t flag;    /* NBDT_FLAG_… */
};

#define EXPORT_FLAG_COUNT 10
extern const struct export_flag export_flags[EXPORT_FLAG_COUNT];

/* Those names and the others that --can and --is know. */
bool is_ability(const char *name);
/* NAME is one of them; what was agreed on with the server is in ASKING. */
bool has_ability(const char *name, const struct asking *asking, const struct nbdt_export *export);

#endif
