/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-list --size, --can, --is: single facts of one export, for scripts. */
#include <inttypes.h>
#include <stdio.h>

#include "list-ask.h"
#include "list-facts.h"
#include "nbd-list.h"

#define PATIENCE 10000u /* milliseconds */

static enum command_status ask(struct asking *asking, const struct nbdt_uri *uri,
	const struct list_options *options, struct nbdt_export *export)
{
	struct nbdt_error err;

	ask_begin(asking, uri, options->timeout, PATIENCE);
	int result = ask_export(asking, uri->export_name, export, NULL, &err);
	ask_close(asking);
	return result ? report(NULL, &err) : STATUS_DONE;
}

enum command_status list_size(const struct nbdt_uri *uri, const struct list_options *options)
{
	struct nbdt_export export = { 0 };
	struct asking asking;
	enum command_status status = ask(&asking, uri, options, &export);

	/* A number alone is JSON as well. */
	if (!status)
		printf("%" PRIu64 "\n", export.size);
	nbdt_export_clear(&export);
	return status;
}

enum command_status list_test(
	const struct nbdt_uri *uri, const struct list_options *options, bool *answer)
{
	struct nbdt_export export = { 0 };
	struct asking asking;
	enum command_status status = ask(&asking, uri, options, &export);

	*answer = !status && has_ability(options->ability, &asking, &export);
	nbdt_export_clear(&export);
	return status;
}
