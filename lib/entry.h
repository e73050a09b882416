/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers of entries share: an entry being built, and the list of all. */
#ifndef NBDT_ENTRY_H
#define NBDT_ENTRY_H

#include "nbdtools.h"

struct entry_list {
	struct nbdt_entry *entries;
	size_t count;
	bool no_memory; /* something had to be left out */
};

/*
 * Adds an empty entry for a remote export. NAME may be NULL; LINE 0: none. NULL: no memory, which
 * the list remembers. Valid until the next one is added.
 */
struct nbdt_entry *entry_add(
	struct entry_list *list, const char *path, unsigned int line, const char *name);

/* Refuses an entry; only the first reason is kept. LINE 0: the entry's origin says it already. */
void entry_refuse(struct nbdt_entry *entry, unsigned int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds a copy to the end. No memory refuses the entry. */
void entry_add_source(struct nbdt_entry *entry, const char *source);
/*
 * "--NAME=VALUE", or "--NAME" where VALUE is NULL; in the place of one that was given before, as a
 * command line's last one counts. No memory refuses the entry.
 */
void entry_set_option(struct nbdt_entry *entry, const char *name, const char *value);

/*
 * "nbdN" or "/dev/nbdN" as a number, else -EINVAL. Unlike nbdt_device_parse() it looks no path up:
 * what an entry means does not depend on what is attached.
 */
int entry_parse_device(const char *text);

/* nbdtab.c: the text of an nbdtab. It is changed on the way, and has a NUL after its LENGTH. */
void nbdtab_parse(struct entry_list *list, const char *path, char *text, size_t length);

/* entry-conf.c: the text of NAME.conf, in the same way. */
void entry_conf_parse(struct entry_list *list, const char *path, const char *name, char *text,
	size_t length);

#endif
