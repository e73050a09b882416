/* SPDX-License-Identifier: Apache-2.0 */
#include "image.h"

#include <errno.h>
#include <inttypes.h>

static void warn_of_oddities(
	const char *file, const struct image_options *options, const struct nbdt_file_facts *facts)
{
	uint32_t block = options->file.block_size ? options->file.block_size : 512;

	if (facts->forced_read_only)
		say_warning("%s: can only be read; it is read-only", file);
	if (facts->lost_bytes)
		say_warning("%s: the last %" PRIu64 " bytes do not fill a block of %" PRIu32
			    " and are left out",
			file, facts->lost_bytes, block);
}

static enum command_status refuse(const struct image_options *options, const struct nbdt_error *err)
{
	if (err->code != -EBUSY || !options->busy_remedy)
		return report(NULL, err);
	say_error("%s (%s)", err->text, options->busy_remedy);
	return STATUS_BUSY;
}

/* DEVICE becomes the overlay on it, or is closed. */
static enum command_status add_overlay(
	const struct image_options *options, struct nbdt_device **device)
{
	struct nbdt_device *overlay = NULL;
	struct nbdt_error err;

	int result = nbdt_device_open_overlay(*device, options->overlay_file, &overlay, &err);
	if (result)
		nbdt_device_close(*device);
	*device = overlay;
	return result ? report(NULL, &err) : STATUS_DONE;
}

enum command_status image_open(const char *file, const struct image_options *options,
	struct nbdt_device **device, struct nbdt_file_facts *facts)
{
	struct nbdt_file_options wish = options->file;
	struct nbdt_error err;

	/* Under an overlay nothing is written, and several may share a base. */
	if (options->overlay)
		wish.read_only = true;
	if (nbdt_device_open_file(file, &wish, device, facts, &err))
		return refuse(options, &err);
	warn_of_oddities(file, options, facts);
	return options->overlay ? add_overlay(options, device) : STATUS_DONE;
}
