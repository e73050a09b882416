/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <inttypes.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"

#define MAX_COLUMNS 32

struct table {
	struct libscols_table *cols;
	struct libscols_line *row;
	const struct column *columns;
	size_t count;
	struct libscols_column *shown[MAX_COLUMNS]; /* by declaration; NULL: not shown */
	bool json, bytes;
};

bool table_is_asked_for(const struct table_options *options)
{
	return options->columns || options->all_columns || options->no_headings || options->raw
	       || options->bytes;
}

static int json_type(enum column_type type)
{
	switch (type) {
	case COLUMN_NUMBER:
	case COLUMN_SIZE:
		return SCOLS_JSON_NUMBER;
	case COLUMN_BOOLEAN:
		return SCOLS_JSON_BOOLEAN;
	case COLUMN_STRING:
		break;
	}
	return SCOLS_JSON_STRING;
}

static void show_column(struct table *table, size_t index)
{
	const struct column *column = &table->columns[index];
	int flags = column->type == COLUMN_STRING ? 0 : SCOLS_FL_RIGHT;

	if (table->shown[index])
		return;
	table->shown[index] = scols_table_new_column(table->cols, column->name, 0, flags);
	scols_column_set_json_type(table->shown[index], json_type(column->type));
}

/* Case does not matter, as in losetup. */
static int show_named(struct table *table, const char *name, size_t length)
{
	for (size_t i = 0; i < table->count; i++) {
		if (strlen(table->columns[i].name) != length
			|| strncasecmp(table->columns[i].name, name, length))
			continue;
		show_column(table, i);
		return 0;
	}
	usage_error("unknown column: %.*s", (int)length, name);
	return -1;
}

static int show_list(struct table *table, const char *names)
{
	while (*names) {
		size_t length = strcspn(names, ",");

		if (show_named(table, names, length))
			return -1;
		names += length;
		names += *names == ',';
	}
	return 0;
}

struct table *table_new(const struct column *columns, size_t count, const char *defaults,
	const struct table_options *options, const char *root)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table || !(table->cols = scols_new_table())) {
		say_error("out of memory");
		free(table);
		return NULL;
	}
	table->columns = columns;
	table->count = count;
	table->json = options->json;
	table->bytes = options->bytes || options->json;
	scols_table_set_name(table->cols, root);
	scols_table_enable_json(table->cols, options->json);
	scols_table_enable_raw(table->cols, options->raw);
	scols_table_enable_noheadings(table->cols, options->no_headings);
	if (options->all_columns)
		for (size_t i = 0; i < count; i++)
			show_column(table, i);
	else if (show_list(table, options->columns ? options->columns : defaults)) {
		scols_unref_table(table->cols);
		free(table);
		return NULL;
	}
	return table;
}

void table_add_row(struct table *table)
{
	table->row = scols_table_new_line(table->cols, NULL);
}

void table_set(struct table *table, size_t column, const char *text)
{
	if (!table->shown[column] || !table->row || !text)
		return;
	/* The line owns the copy. libsmartcols escapes for the terminal, but JSON must be UTF-8. */
	char *copy = table->json ? escape_invalid_utf8(text) : strdup(text);
	scols_line_refer_column_data(table->row, table->shown[column], copy);
}

void format_whole_size(uint64_t bytes, char *text, size_t size)
{
	static const char *const units[] = { "", "K", "M", "G", "T", "P", "E" };
	size_t unit = 0;

	while (bytes && bytes % 1024 == 0 && unit < sizeof(units) / sizeof(units[0]) - 1) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, size, "%" PRIu64 "%s", bytes, units[unit]);
}

void format_size(uint64_t bytes, char *text, size_t size)
{
	static const char units[] = "BKMGTPE";
	unsigned int unit = 0;
	uint64_t whole = bytes, tenths = 0;

	while (whole >= 1024 && unit < sizeof(units) - 2) {
		tenths = whole % 1024 * 10 / 1024;
		whole /= 1024;
		unit++;
	}
	if (tenths)
		snprintf(text, size, "%" PRIu64 ".%" PRIu64 "%c", whole, tenths, units[unit]);
	else
		snprintf(text, size, "%" PRIu64 "%c", whole, units[unit]);
}

void table_set_number(struct table *table, size_t column, uint64_t number)
{
	char text[32];

	if (table->columns[column].type == COLUMN_SIZE && !table->bytes)
		format_size(number, text, sizeof(text));
	else
		snprintf(text, sizeof(text), "%" PRIu64, number);
	table_set(table, column, text);
}

void table_set_boolean(struct table *table, size_t column, bool value)
{
	table_set(table, column, value ? "1" : "0");
}

enum command_status table_print(struct table *table)
{
	enum command_status status = STATUS_DONE;
	bool empty = !scols_table_get_nlines(table->cols);
	char *text = NULL;

	/* Built in memory and written once: a failure never leaves half a document. */
	if (empty && table->json)
		printf("{\n   \"%s\": []\n}\n", scols_table_get_name(table->cols));
	else if (!empty && !scols_print_table_to_string(table->cols, &text))
		printf("%s%s", text, table->json ? "" : "\n");
	else if (!empty)
		status = STATUS_FAILED;
	free(text);
	scols_unref_table(table->cols);
	free(table);
	return status;
}

void print_column_help(const char *of, const struct column *columns, size_t count)
{
	printf("\nColumns%s for --output:\n", of);
	for (size_t i = 0; i < count; i++)
		printf("  %-14s %s\n", columns[i].name, columns[i].help);
}
