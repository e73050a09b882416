/* SPDX-License-Identifier: Apache-2.0 */
/* nbd-loop -d, -D and -c: what happens to a device that is attached. */
#include <errno.h>
#include <string.h>

#include "detach.h"
#include "nbd-loop.h"

static bool is_loop(const struct known_device *device, const char *text)
{
	const char *kind = device_kind(device);

	(void)text;
	return kind && !strcmp(kind, "loop");
}

/* OPERAND names the device, or the file. */
static bool is_named(const struct known_device *device, const char *operand)
{
	int index = nbdt_device_parse(operand, true);

	if (!is_loop(device, NULL))
		return false;
	return index >= 0 ? index == device->info.index : device_has_source(device, operand);
}

enum command_status loop_detach(const char *operand, bool force)
{
	const struct detach_wish wish = { .force = force };
	size_t found;

	enum command_status status = detach_matching(is_named, operand, &wish, &found);
	if (status || found)
		return status;
	say_error("%s: not attached by nbd-loop", operand);
	return STATUS_NOT_FOUND;
}

enum command_status loop_detach_all(bool force)
{
	const struct detach_wish wish = { .force = force };
	size_t found;

	return detach_matching(is_loop, NULL, &wish, &found);
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
