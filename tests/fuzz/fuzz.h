/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets share. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nbdtools.h"

/* libFuzzer calls it with one input after another. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the run, the input becoming a finding, unless OK. */
void fuzz_check(bool ok, const char *what);

/* A failure must have come with CODE and with a sentence that a terminal can show. */
void fuzz_check_error(int code, const struct nbdt_error *err);

/*
 * A connected socket from which DATA, as much as its buffer holds, and then the end can be read;
 * *OTHER is the other end, for what is written to the former.
 */
int fuzz_socket(const uint8_t *data, size_t size, int *other);

#endif
