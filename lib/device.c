/* SPDX-License-Identifier: Apache-2.0 */
/* What every device has in common, whatever it is made of. */
#include "nbd-protocol.h"
#include "nbdtools.h"

uint64_t nbdt_device_size(const struct nbdt_device *device)
{
	return __atomic_load_n(&device->size, __ATOMIC_ACQUIRE);
}

static unsigned int write_flags(const struct nbdt_device *device)
{
	unsigned int flags = 0;

	if (device->ops->trim)
		flags |= NBD_FLAG_SEND_TRIM;
	if (device->ops->zero)
		flags |= NBD_FLAG_SEND_WRITE_ZEROES;
	if (device->ops->zero && device->can_fast_zero)
		flags |= NBD_FLAG_SEND_FAST_ZERO;
	return flags;
}

uint16_t nbdt_device_flags(const struct nbdt_device *device)
{
	unsigned int flags = NBD_FLAG_HAS_FLAGS;

	if (device->read_only || !device->ops->pwrite)
		flags |= NBD_FLAG_READ_ONLY;
	else
		flags |= write_flags(device);
	if (device->ops->flush)
		flags |= NBD_FLAG_SEND_FLUSH;
	/* Where the device cannot do it by itself, the server flushes after the operation. */
	if (device->can_fua || device->ops->flush)
		flags |= NBD_FLAG_SEND_FUA;
	if (device->ops->cache)
		flags |= NBD_FLAG_SEND_CACHE;
	if (device->can_multi_conn)
		flags |= NBD_FLAG_CAN_MULTI_CONN;
	if (device->rotational)
		flags |= NBD_FLAG_ROTATIONAL;
	return (uint16_t)flags;
}

void nbdt_device_fail_writes(struct nbdt_device *device, bool on)
{
	__atomic_store_n(&device->failing_writes, on, __ATOMIC_RELAXED);
}

bool nbdt_device_fails_writes(const struct nbdt_device *device)
{
	return __atomic_load_n(&device->failing_writes, __ATOMIC_RELAXED);
}

void nbdt_device_close(struct nbdt_device *device)
{
	if (device && device->ops->close)
		device->ops->close(device);
}
