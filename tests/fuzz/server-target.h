/* SPDX-License-Identifier: Apache-2.0 */
/* A server of three exports, for the targets that fuzz it. */
#ifndef FUZZ_SERVER_TARGET_H
#define FUZZ_SERVER_TARGET_H

#include <stddef.h>
#include <stdint.h>

#define FUZZ_EXPORTS 3
extern const char *const fuzz_exports[FUZZ_EXPORTS];

/*
 * Serves a client that says DATA and then closes: from the handshake on if EXPORT is negative, else
 * from the first request on, with simple replies.
 */
void fuzz_server(int export, const uint8_t *data, size_t size);

#endif
