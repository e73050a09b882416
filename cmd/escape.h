/* SPDX-License-Identifier: Apache-2.0 */
/* Strangers' words, made harmless. */
#ifndef NBDT_ESCAPE_H
#define NBDT_ESCAPE_H

/*
 * A copy for free() in which each byte that is not part of valid UTF-8 is written \xNN; NULL: no
 * memory.
 */
char *escape_invalid_utf8(const char *text);

/* The same, with control characters, Unicode's too, and the backslash escaped. */
char *escape_for_terminal(const char *text);

#endif
