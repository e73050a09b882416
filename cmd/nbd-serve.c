/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-serve: files as exports. The options are in serve-options.c, the work is in serve-*.c. */
#include "nbd-serve.h"

int main(int argc, char **argv)
{
	struct serve_options options = { 0 };

	open_standard_descriptors();
	enum command_status status = serve_read_arguments(argc, argv, &options);
	return status ? (int)status : serve_run(&options);
}
