/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-loop -d, -D and -c: what happens to a device that is attached. */
#include <errno.h>
#include <string.h>

#include "devices.h"
#include "nbd-loop.h"

static enum command_status detach_index(int index)
{
	struct nbdt_error err;

	if (!nbdt_detach(index, NULL, &err))
		return STATUS_DONE;
	return report(NULL, &err);
}

/* Detaches device INDEX, or else those of FILE, or with NULL all. *FOUND counts them. */
static enum command_status detach_matching(int index, const char *file, size_t *found)
{
	enum command_status status = STATUS_DONE;
	struct known_device *devices;
	struct nbdt_error err;
	size_t count;

	*found = 0;
	if (read_devices(&devices, &count, &err))
		return report(NULL, &err);
	for (size_t i = 0; i < count; i++) {
		const char *kind = device_kind(&devices[i]);

		if (!kind || strcmp(kind, "loop"))
			continue;
		if (index >= 0 ? index != devices[i].info.index
			       : file && !device_has_source(&devices[i], file))
			continue;
		++*found;
		status = worse_status(status, detach_index(devices[i].info.index));
	}
	free_devices(devices, count);
	return status;
}

enum command_status loop_detach(const char *operand)
{
	int index = nbdt_device_parse(operand, true);
	size_t found;

	enum command_status status = detach_matching(index, operand, &found);
	if (status || found)
		return status;
	say_error("%s: not attached by nbd-loop", operand);
	return STATUS_NOT_FOUND;
}

enum command_status loop_detach_all(void)
{
	size_t found;

	return detach_matching(-1, NULL, &found);
}

enum command_status loop_resize(const char *operand)
{
	int index = nbdt_device_parse(operand, true);
	struct nbdt_error err;

	if (index < 0) {
		say_error("%s: not an NBD device", operand);
		return STATUS_NOT_FOUND;
	}
	int result = nbdt_control_call(index, NBDT_CONTROL_RESIZE, NULL, &err);
	if (!result)
		return STATUS_DONE;
	if (result != -ENOENT && result != -ECONNREFUSED)
		return report(operand, &err);
	say_error("%s: no device of nbd-loop", operand);
	return STATUS_NOT_FOUND;
}
