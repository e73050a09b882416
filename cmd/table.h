/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables and lists of devices: columns declared once for help, text and JSON; libsmartcols prints.
 */
#ifndef NBDT_TABLE_H
#define NBDT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "command.h"

enum column_type {
	COLUMN_STRING,
	COLUMN_NUMBER,
	COLUMN_SIZE, /* a number that people see as 1.5G */
	COLUMN_BOOLEAN,
};

struct column {
	const char *name;
	enum column_type type;
	const char *help;
};

/* The options that every listing has. */
struct table_options {
	const char *columns; /* -O, or NULL: the default ones */
	bool all_columns;
	bool no_headings;
	bool raw;
	bool json;
	bool bytes;
};

/* One of them is there that only a table can obey: any but json. */
bool table_is_asked_for(const struct table_options *options);

struct table;

/*
 * Makes a table of COLUMNS (COUNT of them); DEFAULTS and options->columns are names with commas.
 * ROOT is the name of JSON's array. NULL after an error, which has been said (an unknown column).
 */
struct table *table_new(const struct column *columns, size_t count, const char *defaults,
	const struct table_options *options, const char *root);
void table_add_row(struct table *table);
/*
 * Sets a cell of the last row; COLUMN counts in the declaration. Columns that aren't shown are
 * skipped; NULL leaves it empty.
 */
void table_set(struct table *table, size_t column, const char *text);
void table_set_number(struct table *table, size_t column, uint64_t number);
void table_set_boolean(struct table *table, size_t column, bool value);
/* Prints and frees. An empty table prints nothing, but as JSON an empty array. */
enum command_status table_print(struct table *table);

/* 1.5G, 512B, 10M: one digit after the point where it says something. */
void format_size(uint64_t bytes, char *text, size_t size);
/* 1536, 512, 10M: in the largest unit that it is a multiple of, as nbdinfo has it. */
void format_whole_size(uint64_t bytes, char *text, size_t size);

/* The part of a help text that describes the columns, which are OF what (" of exports", or ""). */
void print_column_help(const char *of, const struct column *columns, size_t count);

#endif
