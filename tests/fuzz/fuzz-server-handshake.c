/* SPDX-License-Identifier: Apache-2.0 */
/* The server, against a client that may say anything from its first byte on. */
#include "fuzz.h"
#include "server-target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_server(-1, data, size);
	return 0;
}
