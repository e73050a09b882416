/* SPDX-License-Identifier: Apache-2.0 */
/* Opening an image file for serving, as nbd-loop and nbd-serve have it. */
#ifndef NBDT_IMAGE_H
#define NBDT_IMAGE_H

#include "command.h"

struct image_options {
	struct nbdt_file_options file;
	bool overlay;             /* leave the file as it is, and keep what is written elsewhere */
	const char *overlay_file; /* there, or with NULL in memory */
	const char *busy_remedy;  /* what helps against "in use", or NULL */
};

/* Opens FILE, with the overlay if that is wanted, and says what goes wrong or is odd. */
enum command_status image_open(const char *file, const struct image_options *options,
	struct nbdt_device **device, struct nbdt_file_facts *facts);

#endif
