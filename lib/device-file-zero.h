/* SPDX-License-Identifier: Apache-2.0 */
/* Trim and zero of a file or block device. */
#ifndef NBDT_DEVICE_FILE_ZERO_H
#define NBDT_DEVICE_FILE_ZERO_H

#include "nbdtools.h"

int file_device_trim(struct nbdt_device *device, struct nbdt_request *request);
int file_device_zero(struct nbdt_device *device, struct nbdt_request *request);

#endif
