/* SPDX-License-Identifier: Apache-2.0 */
/* Strings of the protocol are UTF-8 ("String encoding"). */
#ifndef NBDT_UTF8_H
#define NBDT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/*
 * True for well-formed UTF-8 without NUL: no overlong forms, no surrogates, nothing over
 * U+10FFFF.
 */
bool utf8_valid(const char *text, size_t length);

#endif
